// ema_update: average[i] = decay * average[i] + rest * values[i], rest = 1 - decay formed on the host.
//
// average, values  scalar_t (count)
// mapping   a grid-stride loop, neighbours on neighbours
// launch    grid any, block any
// race-free each element is read and written by one thread
// cost      3 FLOPs; 3 * sizeof(scalar_t) bytes an element
#include "common.cuh"

extern "C" __global__ void ema_update(scalar_t* __restrict__ average, const scalar_t* __restrict__ values,
                                      scalar_t decay, scalar_t rest, int count) {
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads)
        average[i] = decay * average[i] + rest * values[i];
}
