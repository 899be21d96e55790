// The average of the weights: ema_update's formula, also at the end of the optimizers' updates.
#ifndef GPUCNN_AVERAGE_CUH
#define GPUCNN_AVERAGE_CUH
#include "common.cuh"

// average[i] = decay * average[i] + rest * value, to the same bits in every kernel: by one fma.
DEVICE void take_in(scalar_t* average, uint32 i, scalar_t value, scalar_t decay, scalar_t rest) {
    average[i] = fma(decay, average[i], rest * value);
}

// The rates that an average takes, of a launch's arguments or, where `decays` is not null, of memory.
struct Decay {
    scalar_t decay, rest;
};

DEVICE Decay decay_of(const scalar_t* decays, scalar_t decay, scalar_t rest) {
    return decays ? Decay{decays[0], decays[1]} : Decay{decay, rest};
}

#endif  // GPUCNN_AVERAGE_CUH
