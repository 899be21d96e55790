// lp_pool2d_backward: dx[n,c,i,j] = sum of dy * sign(x) * (|x|/y)^(exponent - 1) over the windows that
// cover (i, j); windows with y = 0 have no gradient.
// implements A13
//
// dy, y     scalar_t (N, C, P, Q);  x, dx scalar_t (N, C, H, W); no padding, no dilation
// mapping   a grid-stride loop, a thread for each cell of dx, which gathers from its windows, p before
//           q in rising order
// launch    grid any, block any
// race-free each dx is written by one thread, exactly once: dx needs no clearing
// cost      a power for each window of a cell; reads dy and y through the cache, x once, writes dx once
#include "lp_pool2d.cuh"

extern "C" __global__ void lp_pool2d_backward(const scalar_t* __restrict__ dy,
                                              const scalar_t* __restrict__ x,
                                              const scalar_t* __restrict__ y, scalar_t* __restrict__ dx,
                                              Pool2dParams s, scalar_t exponent, int count) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.h, s.w);
        const Cover rows = covering_rows(s, at.row), columns = covering_columns(s, at.column);
        const scalar_t value = x[i], size = fabs(value);
        // 0 keeps its sign, NaN stays NaN.
        const scalar_t sign = value > scalar_t(0) ? scalar_t(1) : value < scalar_t(0) ? scalar_t(-1) : value;
        scalar_t sum = 0;
        for (int p = rows.low; p <= rows.high; ++p)
            for (int q = columns.low; q <= columns.high; ++q) {
                const int window = (at.plane * s.p + p) * s.q + q;
                if (y[window] == scalar_t(0)) continue;
                sum += dy[window] * sign * power(size / y[window], exponent - scalar_t(1));
            }
        dx[i] = sum;
    }
}
