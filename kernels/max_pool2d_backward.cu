// max_pool2d_backward: dx[n,c,i,j] = sum of dy[n,c,p,q] over the windows whose winner is (i, j)
// (S3 (4.6)); 0 where a cell wins no window. With relu_y, the forward's y, that is ReLU's gradient too
// where x was ReLU's result: the winner is y, so a dy at y <= 0 counts as 0.
// implements A9 A10 P1 S0:3 S3:4.5 S3:4.6
//
// dy        scalar_t (N, C, P, Q);  argmax ARGMAX (N, C, P, Q);  relu_y like dy, or null;
// dx        scalar_t (N, C, H, W)
// mapping   grid-stride loops.
//           max_pool2d_backward: a thread for each cell of dx. It gathers from the windows that cover
//           the cell, p before q in rising order: any overlap, any dilation
//           max_pool2d_backward_scatter: windows are disjoint. A thread for each window owns the cells
//           from its first up to the next window's first (the first window those before it too, the
//           last all to the edge) and writes dy to the winner and 0 to all others
//           max_pool2d_backward_2x2: the scatter for windows of 2x2 with stride 2, no padding and an
//           even W, a row of the window in one store
// launch    grid any, block any
// macros    ARGMAX: uint8 (windows of at most 256 cells) or int
// race-free each dx is written by one thread, exactly once: dx needs no clearing
// cost      reads dy, argmax and relu_y once (the gather once for each cover, through the cache), writes dx
//           once
#include "pooling.cuh"
#include "vector.cuh"

#ifndef ARGMAX
#define ARGMAX uint8
#endif

// dy[window], behind ReLU where x was its result.
DEVICE scalar_t delta_of(const scalar_t* dy, const scalar_t* relu_y, int window) {
    return relu_y && relu_y[window] <= scalar_t(0) ? scalar_t(0) : dy[window];
}

template <bool USUAL>
DEVICE void gather(const scalar_t* __restrict__ dy, const ARGMAX* __restrict__ argmax,
                   const scalar_t* __restrict__ relu_y, scalar_t* __restrict__ dx,
                   const Pool2dParams& geometry, int count) {
    const Pool2dParams s = known<USUAL>(geometry);
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.h, s.w);
        const Cover rows = covering_rows(s, at.row), columns = covering_columns(s, at.column);
        scalar_t sum = 0;
        for (int p = rows.low; p <= rows.high; ++p) {
            const int high = rows.position - p * s.stride_h;
            if (high % s.dilation_h) continue;  // between two taps
            for (int q = columns.low; q <= columns.high; ++q) {
                const int wide = columns.position - q * s.stride_w;
                if (wide % s.dilation_w) continue;
                const int place = high / s.dilation_h * s.kernel_w + wide / s.dilation_w;
                const int window = (at.plane * s.p + p) * s.q + q;
                if (argmax[window] == place) sum += delta_of(dy, relu_y, window);
            }
        }
        dx[i] = sum;
    }
}

extern "C" __global__ void max_pool2d_backward(const scalar_t* __restrict__ dy,
                                               const ARGMAX* __restrict__ argmax,
                                               const scalar_t* __restrict__ relu_y,
                                               scalar_t* __restrict__ dx, Pool2dParams s, int count) {
    if (is_usual(s))
        gather<true>(dy, argmax, relu_y, dx, s, count);
    else
        gather<false>(dy, argmax, relu_y, dx, s, count);
}

// The cells low..high-1 along one axis that window `window` of `windows` owns.
struct Owned {
    int low, high;
};

DEVICE Owned owned(int window, int windows, int stride, int pad, int size) {
    const int start = window * stride - pad;
    return {max(start, 0), window == windows - 1 ? size : start + stride};
}

extern "C" __global__ void max_pool2d_backward_scatter(const scalar_t* __restrict__ dy,
                                                       const ARGMAX* __restrict__ argmax,
                                                       const scalar_t* __restrict__ relu_y,
                                                       scalar_t* __restrict__ dx, Pool2dParams s, int count) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const scalar_t delta = delta_of(dy, relu_y, i);
        const int place = argmax[i];
        const int winner_row = at.row * s.stride_h - s.pad_top + place / s.kernel_w * s.dilation_h;
        const int winner_column = at.column * s.stride_w - s.pad_left + place % s.kernel_w * s.dilation_w;
        const Owned rows = owned(at.row, s.p, s.stride_h, s.pad_top, s.h);
        const Owned columns = owned(at.column, s.q, s.stride_w, s.pad_left, s.w);
        for (int row = rows.low; row < rows.high; ++row)
            for (int column = columns.low; column < columns.high; ++column)
                dx[(at.plane * s.h + row) * s.w + column] =
                    row == winner_row && column == winner_column ? delta : scalar_t(0);
    }
}

DEVICE void store_pair(scalar_t* address, scalar_t left, scalar_t right, bool paired) {
    if (paired) {
        store_pack(address, Pack<2>{{left, right}});
    } else {
        address[0] = left;
        address[1] = right;
    }
}

extern "C" __global__ void max_pool2d_backward_2x2(const scalar_t* __restrict__ dy,
                                                   const ARGMAX* __restrict__ argmax,
                                                   const scalar_t* __restrict__ relu_y,
                                                   scalar_t* __restrict__ dx, Pool2dParams s, int count) {
    const bool paired = aligned(dx);
    const scalar_t zero = 0;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const scalar_t delta = delta_of(dy, relu_y, i);
        const int place = argmax[i];
        scalar_t* cells = dx + (at.plane * s.h + 2 * at.row) * s.w + 2 * at.column;
        store_pair(cells, place == 0 ? delta : zero, place == 1 ? delta : zero, paired);
        if (2 * at.row + 1 < s.h)
            store_pair(cells + s.w, place == 2 ? delta : zero, place == 3 ? delta : zero, paired);
        if (at.row == s.p - 1 && 2 * s.p < s.h) store_pair(cells + 2 * s.w, zero, zero, paired);
    }
}
