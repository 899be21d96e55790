// clip_by_global_norm: norm = sqrt(sum grads[i]^2); where it is finite and above max_norm,
// grads *= max_norm / norm. The norm stays on the device: no launch waits for the host.
// Two passes: clip_by_global_norm_squares adds squares up by a number of blocks that depends on count
// alone; in clip_by_global_norm every block adds those sums in the same order, and scales its share.
//
// Sums are float64. So that no square overflows or vanishes in float64 either, they are three (Blue,
// 1978): of g * 2^-600 where |g| > 2^490, of g * 2^600 where |g| < 2^-490, and of g between. A float32 is
// always between. Then norm = root * unit with unit 2^600, 2^-600 or 1.
//
// grads     scalar_t (count); sums double (3, blocks): big, middle, small; norm scalar_t ()
// mapping   grid-stride loops, neighbours on neighbours
// launch    clip_by_global_norm_squares grid (blocks), clip_by_global_norm any grid >= 1; block THREADS
// macros    THREADS  threads of a block, a multiple of 32
// race-free thread 0 of a block writes its sums, thread 0 of block 0 the norm, one thread each gradient
// cost      2 FLOPs in float64 and 1 product; 3 * sizeof(scalar_t) bytes an element
#include "common.cuh"

#ifndef THREADS
#define THREADS 256
#endif

constexpr bool kWide = sizeof(scalar_t) == 8;
constexpr double kUp = 0x1p600, kDown = 0x1p-600;

extern "C" __global__ void clip_by_global_norm_squares(const scalar_t* __restrict__ grads,
                                                       double* __restrict__ sums, int count) {
    __shared__ double scratch[THREADS / 32];
    const uint32 threads = gridDim.x * blockDim.x;
    double big = 0, middle = 0, small = 0;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        const double g = grads[i];
        if (kWide && fabs(g) > 0x1p490)
            big += g * kDown * (g * kDown);
        else if (kWide && fabs(g) < 0x1p-490)
            small += g * kUp * (g * kUp);
        else
            middle += g * g;
    }
    big = block_sum(big, scratch);
    middle = block_sum(middle, scratch);
    small = block_sum(small, scratch);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = big;
        sums[gridDim.x + blockIdx.x] = middle;
        sums[2 * gridDim.x + blockIdx.x] = small;
    }
}

extern "C" __global__ void clip_by_global_norm(scalar_t* __restrict__ grads,
                                               const double* __restrict__ sums, scalar_t* __restrict__ norm,
                                               double max_norm, int blocks, int count) {
    __shared__ double scratch[THREADS / 32];
    __shared__ double factor;
    double big = 0, middle = 0, small = 0;
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) {
        big += sums[i];
        middle += sums[blocks + i];
        small += sums[2 * blocks + i];
    }
    big = block_sum(big, scratch);
    middle = block_sum(middle, scratch);
    small = block_sum(small, scratch);
    if (threadIdx.x == 0) {
        double root, unit;
        if (big != 0) {
            root = sqrt(big + middle * kDown * kDown), unit = kUp;
        } else if (middle != 0) {
            root = sqrt(middle + small * kDown * kDown), unit = 1;
        } else {
            root = sqrt(small), unit = kDown;
        }
        const bool finite = root - root == 0;
        factor = finite && root * unit > max_norm ? max_norm / unit / root : 1;
        if (blockIdx.x == 0) *norm = scalar_t(finite ? root * unit : root);
    }
    __syncthreads();
    if (factor == 1) return;  // nothing to clip: every gradient stays as it is
    const scalar_t scale = scalar_t(factor);
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) grads[i] *= scale;
}
