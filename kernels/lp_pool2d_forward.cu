// lp_pool2d_forward: y[n,c,p,q] = (sum over the window of |x|^exponent)^(1/exponent), exponent >= 1 (S2).
// implements A13
//
// x         scalar_t (N, C, H, W);  y scalar_t (N, C, P, Q); no padding, no dilation
// scaling   the largest |x| of a window is taken out before the powers: none overflows, and what
//           vanishes is too small to count. Not where it is 0 or infinite; NaN reaches y by its power
// mapping   a grid-stride loop, a thread for each window: once for the largest, once for the sum
// launch    grid any, block any
// race-free each y is written by one thread
// cost      R*S powers a window; the second reading comes from the cache
#include "lp_pool2d.cuh"

extern "C" __global__ void lp_pool2d_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                             Pool2dParams s, scalar_t exponent, int count) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const Span rows = real_rows(s, at.row), columns = real_columns(s, at.column);
        const scalar_t* first = x + (at.plane * s.h + rows.first) * s.w + columns.first;
        scalar_t largest = 0;
        for (int a = 0; a < rows.count; ++a)
            for (int b = 0; b < columns.count; ++b) {
                const scalar_t size = fabs(first[a * s.w + b]);
                if (size > largest) largest = size;
            }
        const scalar_t scale = largest > scalar_t(0) && isfinite(largest) ? largest : scalar_t(1);
        scalar_t sum = 0;
        for (int a = 0; a < rows.count; ++a)
            for (int b = 0; b < columns.count; ++b)
                sum += power(fabs(first[a * s.w + b]) / scale, exponent);
        y[i] = scale * power(sum, scalar_t(1) / exponent);
    }
}
