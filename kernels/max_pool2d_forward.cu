// max_pool2d_forward: y[n,c,p,q] = max over r, s of x[n, c, p*stride + r*dilation - pad, ...], and
// argmax, the winner's place r*S + s in its window (S0 section 3, S3 (4.1)).
// implements A9 C7 S3:4.2
//
// x         scalar_t (N, C, H, W);  y scalar_t (N, C, P, Q);  argmax ARGMAX (N, C, P, Q)
// order     rows of the window first, or columns first with `column_major`. The first real cell leads;
//           a cell takes over if it is greater, or NaN where none was: so the first of equals stays,
//           the first NaN stays, and padding, never read, cannot win
// mapping   a grid-stride loop, a thread for each window: neighbours in q on neighbours
// launch    grid any, block any. max_pool2d_forward_2x2: windows of 2x2 with stride 2 and no padding
//           over an even W, a row of the window in one load
// macros    ARGMAX: uint8 (windows of at most 256 cells) or int
// race-free each y and argmax is written by one thread
// cost      R*S comparisons a window; reads x once where windows are disjoint, else through the cache
#include "pooling.cuh"
#include "vector.cuh"

#ifndef ARGMAX
#define ARGMAX uint8
#endif

struct Winner {
    scalar_t value;
    int place;
};

DEVICE Winner better(Winner best, scalar_t value, int place) {
    const bool wins = !(value <= best.value) && best.value == best.value;
    return wins ? Winner{value, place} : best;
}

// One axis of a window as a loop: `count` cells, `step` elements of x and `places` apart.
struct Loop {
    int count, step, places;
};

template <bool USUAL>
DEVICE void pool(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, ARGMAX* __restrict__ argmax,
                 const Pool2dParams& geometry, int column_major, int count) {
    const Pool2dParams s = known<USUAL>(geometry);
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const Span rows = real_rows(s, at.row), columns = real_columns(s, at.column);
        Loop outer = {rows.count, s.dilation_h * s.w, s.kernel_w};
        Loop inner = {columns.count, s.dilation_w, 1};
        if (column_major) {
            const Loop swapped = outer;
            outer = inner;
            inner = swapped;
        }
        const scalar_t* first = x + (at.plane * s.h + rows.first) * s.w + columns.first;
        const int first_place = rows.tap * s.kernel_w + columns.tap;
        Winner best = {*first, first_place};
        for (int a = 0; a < outer.count; ++a)
            for (int b = 0; b < inner.count; ++b)
                best = better(best, first[a * outer.step + b * inner.step],
                              first_place + a * outer.places + b * inner.places);
        y[i] = best.value;
        argmax[i] = ARGMAX(best.place);
    }
}

extern "C" __global__ void max_pool2d_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                              ARGMAX* __restrict__ argmax, Pool2dParams s,
                                              int column_major, int count) {
    if (is_usual(s))
        pool<true>(x, y, argmax, s, column_major, count);
    else
        pool<false>(x, y, argmax, s, column_major, count);
}

extern "C" __global__ void max_pool2d_forward_2x2(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                                  ARGMAX* __restrict__ argmax, Pool2dParams s,
                                                  int column_major, int count) {
    const bool paired = aligned(x);
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        const Place at = place_of(i, s.p, s.q);
        const scalar_t* top = x + (at.plane * s.h + 2 * at.row) * s.w + 2 * at.column;
        const scalar_t* bottom = 2 * at.row + 1 < s.h ? top + s.w : top;  // ceil mode: the same row again
        const Pack<2> high = paired ? load_pack<2>(top) : Pack<2>{{top[0], top[1]}};
        const Pack<2> low = paired ? load_pack<2>(bottom) : Pack<2>{{bottom[0], bottom[1]}};
        Winner best = {high.v[0], 0};
        best = column_major ? better(best, low.v[0], 2) : better(best, high.v[1], 1);
        best = column_major ? better(best, high.v[1], 1) : better(best, low.v[0], 2);
        best = better(best, low.v[1], 3);
        y[i] = best.value;
        argmax[i] = ARGMAX(best.place);
    }
}
