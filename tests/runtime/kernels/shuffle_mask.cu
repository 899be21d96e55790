// shuffle_mask: sums over half-warps, where the mask has to name the lanes that take part.
#include "common.cuh"

extern "C" __global__ void shuffle_mask(const scalar_t* x, scalar_t* y) {
    scalar_t sum = x[threadIdx.x];
    if (threadIdx.x % 32 >= 16) {
        y[threadIdx.x] = sum;
        return;
    }
#if FIXED
    const unsigned mask = 0x0000ffffu;
#else
    const unsigned mask = 0xffffffffu;
#endif
    for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_xor_sync(mask, sum, offset);
    y[threadIdx.x] = sum;
}
