// uninitialised_shared: a sum over a tile whose border nobody has set.
#include "common.cuh"

extern "C" __global__ void uninitialised_shared(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[66];
    tile[threadIdx.x + 1] = x[threadIdx.x];
#if FIXED
    if (threadIdx.x < 2) tile[65 * threadIdx.x] = 0;
#endif
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x] + tile[threadIdx.x + 1] + tile[threadIdx.x + 2];
}
