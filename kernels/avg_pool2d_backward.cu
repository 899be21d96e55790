// avg_pool2d_backward: dx[n,c,i,j] = sum of dy[n,c,p,q] / divisor over the windows that cover (i, j)
// (S0 section 3); 0 where none does.
// implements A11 A12 P2 S0:3
//
// dy        scalar_t (N, C, P, Q);  dx scalar_t (N, C, H, W)
// divisor   with `include_pad` the window's cells up to the padded edge, else the real ones alone
// mapping   a grid-stride loop, a thread for each cell of dx, which gathers from its windows, p before
//           q in rising order
// launch    grid any, block any
// race-free each dx is written by one thread, exactly once: dx needs no clearing
// cost      a division for each window of a cell; reads dy through the cache, writes dx once
#include "avg_pool2d.cuh"

template <bool USUAL>
DEVICE void gather(const scalar_t* __restrict__ dy, scalar_t* __restrict__ dx, const Pool2dParams& geometry,
                   int include_pad, int count) {
    const Pool2dParams s = known<USUAL>(geometry);
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.h, s.w);
        const Cover rows = covering_rows(s, at.row), columns = covering_columns(s, at.column);
        scalar_t sum = 0;
        for (int p = rows.low; p <= rows.high; ++p)
            for (int q = columns.low; q <= columns.high; ++q)
                sum += dy[(at.plane * s.p + p) * s.q + q] / divisor(s, p, q, include_pad);
        dx[i] = sum;
    }
}

extern "C" __global__ void avg_pool2d_backward(const scalar_t* __restrict__ dy, scalar_t* __restrict__ dx,
                                               Pool2dParams s, int include_pad, int count) {
    if (is_usual(s))
        gather<true>(dy, dx, s, include_pad, count);
    else
        gather<false>(dy, dx, s, include_pad, count);
}
