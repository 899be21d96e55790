// divergent_barrier: the barrier stands in a branch that not every thread takes.
#include "common.cuh"

extern "C" __global__ void divergent_barrier(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
#if FIXED
    __syncthreads();
    if (threadIdx.x < 32) y[threadIdx.x] = tile[63 - threadIdx.x];
    __syncthreads();
#else
    if (threadIdx.x < 32) {
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];
    } else {
        __syncthreads();
    }
#endif
}
