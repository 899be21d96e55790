// missing_syncwarp: y[i] = x[i ^ 1] within a warp; lanes do not run in step, so they have to meet.
#include "common.cuh"

extern "C" __global__ void missing_syncwarp(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
#if FIXED
    __syncwarp();
#endif
    y[threadIdx.x] = tile[threadIdx.x ^ 1];
}
