// shuffle_source: takes from a lane that is not in the mask.
#include "common.cuh"

extern "C" __global__ void shuffle_source(const scalar_t* x, scalar_t* y) {
    y[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x % 32 >= 16) return;
#if FIXED
    const int from = 15;
#else
    const int from = 16;
#endif
    y[threadIdx.x] = __shfl_sync(0x0000ffffu, x[threadIdx.x], from);
}
