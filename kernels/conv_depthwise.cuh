// The sums of a depthwise convolution in which a thread makes STRIP results below each other:
//
//   sum[o] += Σ_{r,s} source[row + o + DIRECTION·r, col + DIRECTION·s] · weights[r,s],   (r,s) ascending,
//
// at stride and dilation 1, source being 0 outside of its height x width. DIRECTION is 1 in the convolution
// and −1 in its transpose. With KERNEL x KERNEL known, a thread has all weights in registers and reads each
// row of its window once for all the results that the row is part of: r grows with the row for each of them.
#ifndef GPUCNN_CONV_DEPTHWISE_CUH
#define GPUCNN_CONV_DEPTHWISE_CUH
#include "common.cuh"

#ifndef KERNEL
#define KERNEL 0  // another stride, dilation or window, known at run time alone
#endif

constexpr int kStrip = KERNEL ? 8 : 4;

#if KERNEL
template <int DIRECTION>
DEVICE void depthwise_strip(scalar_t (&sum)[kStrip], const scalar_t* source, int height, int width, int row,
                            int col, const scalar_t* weights) {
    scalar_t weight[KERNEL][KERNEL];
#pragma unroll
    for (int r = 0; r < KERNEL; ++r)
#pragma unroll
        for (int s = 0; s < KERNEL; ++s) weight[r][s] = weights[r * KERNEL + s];
    const int first = DIRECTION > 0 ? row : row + kStrip - 1;
#pragma unroll
    for (int i = 0; i < kStrip + KERNEL - 1; ++i) {
        const int h = first + DIRECTION * i;
        const bool here = uint32(h) < uint32(height);
        const scalar_t* const line = source + (here ? h * width : 0);
        scalar_t value[KERNEL];
#pragma unroll
        for (int s = 0; s < KERNEL; ++s) {
            const int w = col + DIRECTION * s;
            value[s] = here && uint32(w) < uint32(width) ? line[w] : scalar_t(0);
        }
#pragma unroll
        for (int o = 0; o < kStrip; ++o) {
            const int r = DIRECTION > 0 ? i - o : i - (kStrip - 1 - o);
            if (r < 0 || r >= KERNEL) continue;
#pragma unroll
            for (int s = 0; s < KERNEL; ++s) sum[o] += value[s] * weight[r][s];
        }
    }
}
#endif  // KERNEL

#endif  // GPUCNN_CONV_DEPTHWISE_CUH
