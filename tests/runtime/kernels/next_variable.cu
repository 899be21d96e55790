// next_variable: y[i] = x[i] + 2 * x[i + 1] of 64 numbers, the second from a tile of its own; one
// index too far into the first tile is an index into the second.
#include "common.cuh"

extern "C" __global__ void next_variable(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t once[64];
    __shared__ scalar_t twice[64];
    once[threadIdx.x] = x[threadIdx.x];
    twice[threadIdx.x] = 2 * x[threadIdx.x];
    __syncthreads();
#if FIXED
    const int last = 63;
#else
    const int last = 64;
#endif
    const int next = threadIdx.x + 1;
    y[threadIdx.x] = once[threadIdx.x] + twice[next < last ? next : last];
}
