// avg_pool2d_forward: y[n,c,p,q] = sum of the window's cells of x over its divisor (S0 section 3).
// implements A11 A12
//
// x         scalar_t (N, C, H, W);  y scalar_t (N, C, P, Q)
// divisor   with `include_pad` the window's cells up to the padded edge, else the real ones alone
// mapping   avg_pool2d_forward: a grid-stride loop, a thread for each window
//           avg_pool2d_forward_large: blockDim.x threads for each window, which sum every blockDim.x-th
//           cell in reading order and then reduce; blockDim.y windows a block
// launch    avg_pool2d_forward: grid any, block any. avg_pool2d_forward_large: grid enough for all
//           windows, block (32, any) or (a multiple of 32, 1)
// race-free each y is written by one thread; the order of a sum depends on the block's size alone,
//           which the host takes from the shape
// cost      R*S additions a window; reads x once where windows are disjoint
#include "avg_pool2d.cuh"

extern "C" __global__ void avg_pool2d_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                              Pool2dParams s, int include_pad, int count) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const Span rows = real_rows(s, at.row), columns = real_columns(s, at.column);
        const scalar_t* first = x + (at.plane * s.h + rows.first) * s.w + columns.first;
        scalar_t sum = 0;
        for (int a = 0; a < rows.count; ++a)
            for (int b = 0; b < columns.count; ++b) sum += first[a * s.w + b];
        y[i] = sum / divisor(s, at.row, at.column, include_pad);
    }
}

extern "C" __global__ void avg_pool2d_forward_large(const scalar_t* __restrict__ x,
                                                    scalar_t* __restrict__ y, Pool2dParams s,
                                                    int include_pad, int count) {
    __shared__ scalar_t scratch[32];
    const uint32 i = blockIdx.x * blockDim.y + threadIdx.y;
    if (i >= uint32(count)) return;  // a whole warp, and of a block with one window never
    const Place at = place_of(i, s.p, s.q);
    const Span rows = real_rows(s, at.row), columns = real_columns(s, at.column);
    const scalar_t* first = x + (at.plane * s.h + rows.first) * s.w + columns.first;
    scalar_t sum = 0;
    for (uint32 cell = threadIdx.x; cell < uint32(rows.count * columns.count); cell += blockDim.x)
        sum += first[cell / columns.count * s.w + cell % columns.count];
    sum = blockDim.x == 32 ? warp_sum(sum) : block_sum(sum, scratch);
    if (threadIdx.x == 0) y[i] = sum / divisor(s, at.row, at.column, include_pad);
}
