// missing_second_barrier: y[k, i] = x[k, n - 1 - i] for two rows in turn; the next row may only be
// stored when every thread has read the last one.
#include "common.cuh"

extern "C" __global__ void missing_second_barrier(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[64];
    for (int k = 0; k < 2; ++k) {
        tile[threadIdx.x] = x[k * 64 + threadIdx.x];
        __syncthreads();
        y[k * 64 + threadIdx.x] = tile[63 - threadIdx.x];
#if FIXED
        __syncthreads();
#endif
    }
}
