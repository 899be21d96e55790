// ema_update: average[i] = decay * average[i] + rest * values[i], rest = 1 - decay formed on the host.
//
// average, values  scalar_t (count)
// rates     scalar_t (decay, rest), read instead of the arguments of these names, or null
// only_if   bool (): nothing is done where it is false; or null
// mapping   a grid-stride loop, neighbours on neighbours
// launch    grid any, block any
// race-free each element is read and written by one thread
// cost      3 FLOPs; 3 * sizeof(scalar_t) bytes an element
#include "average.cuh"

extern "C" __global__ void ema_update(scalar_t* __restrict__ average, const scalar_t* __restrict__ values,
                                      const scalar_t* __restrict__ rates, const bool* __restrict__ only_if,
                                      scalar_t decay, scalar_t rest, int count) {
    if (only_if && !*only_if) return;
    const Decay d = decay_of(rates, decay, rest);
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads)
        take_in(average, i, values[i], d.decay, d.rest);
}
