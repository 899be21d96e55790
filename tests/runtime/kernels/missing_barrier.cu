// missing_barrier: y[i] = x[n - 1 - i] through shared memory; needs the barrier that FIXED puts in.
#include "common.cuh"

extern "C" __global__ void missing_barrier(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
#if FIXED
    __syncthreads();
#endif
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
