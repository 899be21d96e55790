// conv2d_backward_weight: dw[k,c,r,s] = Σ_{n,p,q} dy[n,k,p,q] · x[n,c,p·stride−pad+r·dilation, …]
// (S4 eq. 18, S2 BP4): few results, each a long sum over the batch and all pixels. So the sum is split
// into `slices` of `slice` pixels that are independent blocks; their partial sums go to a workspace and
// a second kernel adds them in the order of the slices.
// implements A6 A7 S0:5 S1:3.1 S2:BP4 S3:2.21 S4:18
//
// dy (N,K,P,Q)  x (N,C,H,W)  dw (K,C/groups,R,S)  parts (slices,K,C/groups,R,S); dw itself for one slice
// conv2d_backward_weight            implicit matrix product (conv_pipeline.cuh): rows k, columns (c,r,s), depth
//                                   (n,p,q). grid slices · groups · ⌈C/groups·R·S/TILE_N⌉ ·
//                                   ⌈K/groups/TILE_M⌉, in the order of place_of(). block kThreads
// conv2d_backward_weight_direct     for small groups, whose tiles would be mostly empty: a block sums TAPS
//                                   taps of FILTERS filters over a slice, its threads stride over the pixels.
//                                   grid slices · groups · ⌈K/groups/FILTERS⌉ · ⌈C/groups·R·S/TAPS⌉, block 256
// conv2d_backward_weight_reduce     dw[i] = Σ_slice parts[slice,i], a thread an element, grid-stride loop
// macros    SCALAR; TILE_M TILE_N TILE_K THREAD_M THREAD_N STAGES SWIZZLE; FILTERS
// race-free each part and each dw is written once, by one thread, and added in a fixed order; slices
//           depend on the shape alone (gpucnn/ops/kernels/convolution.py), so the bits do too
// cost      2·N·K·P·Q·C/groups·R·S FLOPs; dy, x read once from DRAM, parts written and read
#include "conv_pipeline.cuh"

#ifndef FILTERS
#define FILTERS 4
#endif
#define TAPS 9
#define DIRECT_THREADS 256

// Places of output pixel `at` (n,p,q): in x from the image's channel `channel` on, in dy for filter 0.
DEVICE Tap pixel_tap(const Conv2dParams& d, const Digits& at, int channel) {
    const int h = at.middle * d.stride_h - d.pad_top, w = at.low * d.stride_w - d.pad_left;
    return {((at.high * d.c + channel) * d.h + h) * d.w + w, h, w, (at.high * d.k * d.p + at.middle) * d.q + at.low};
}

DEVICE Column filter_column(const Conv2dParams& d, int col, int depth) {
    if (col >= depth) return {0, kOutside, 0};
    const Digits at = digits(col, d.r, d.s);
    const int h = at.middle * d.dilation_h, w = at.low * d.dilation_w;
    return {(at.high * d.h + h) * d.w + w, h, w};
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
conv2d_backward_weight(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x,
                       scalar_t* __restrict__ parts, Conv2dParams d, int slice) {
    __shared__ ConvTile tile;
    const int filters = d.k / d.groups, channels = d.c / d.groups, depth = channels * d.r * d.s;
    const uint32 pq = d.p * d.q, pixels = d.n * pq;
    const uint32 row_tiles = ceil_div(filters, TILE_M), col_tiles = ceil_div(depth, TILE_N);
    const Place place = place_of(blockIdx.x, row_tiles, col_tiles);
    const int row0 = place.row * TILE_M, col0 = place.col * TILE_N;
    const int group = place.rest % d.groups, row = group * filters + row0;
    const uint32 part = place.rest / d.groups, first = part * slice;

    scalar_t sum[THREAD_M][THREAD_N];
    const Vectors vectors = {pq % kVector == 0 && aligned(dy), pixels_are_x(d) && aligned(x)};
    conv_tile<true>(
        tile, sum, dy, row, pq, filters - row0, x, d.h, d.w, first, min(first + slice, pixels), d.p, d.q, vectors,
        [&](const Digits& at, int) { return pixel_tap(d, at, group * channels); },
        [&](int col) { return filter_column(d, col0 + col, depth); });
    store_tile(
        sum, parts, (part * d.k + row) * depth, depth, filters - row0, depth % kVector == 0, {},
        [&](int col) { return col0 + col < depth ? col0 + col : -1; },
        [](scalar_t value, int) { return value; });
}

extern "C" __global__ void __launch_bounds__(DIRECT_THREADS, 2)
conv2d_backward_weight_direct(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x,
                              scalar_t* __restrict__ parts, Conv2dParams d, int slice) {
    __shared__ scalar_t scratch[DIRECT_THREADS / 32];
    const int filters = d.k / d.groups, channels = d.c / d.groups, depth = channels * d.r * d.s;
    const uint32 pq = d.p * d.q, pixels = d.n * pq;
    const uint32 row_tiles = ceil_div(filters, FILTERS), col_tiles = ceil_div(depth, TAPS);
    uint32 block = blockIdx.x;
    const int col0 = block % col_tiles * TAPS;
    block /= col_tiles;
    const int row0 = block % row_tiles * FILTERS;
    block /= row_tiles;
    const int group = block % d.groups, row = group * filters + row0;
    const uint32 part = block / d.groups, first = part * slice, last = min(first + slice, pixels);

    Column taps[TAPS];
    scalar_t sum[FILTERS][TAPS];
#pragma unroll
    for (int i = 0; i < TAPS; ++i) {
        taps[i] = filter_column(d, col0 + i, depth);
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) sum[f][i] = 0;
    }
    Digits pixel = digits(first + threadIdx.x, d.p, d.q);
    const Digits step = digits(DIRECT_THREADS, d.p, d.q);
    for (uint32 i = first + threadIdx.x; i < last; i += DIRECT_THREADS) {
        const Tap at = pixel_tap(d, pixel, group * channels);
        scalar_t delta[FILTERS];
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) delta[f] = row0 + f < filters ? dy[at.a + (row + f) * pq] : scalar_t(0);
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
            if (!inside(at, taps[j], d.h, d.w)) continue;
            const scalar_t value = x[at.offset + taps[j].offset];
#pragma unroll
            for (int f = 0; f < FILTERS; ++f) sum[f][j] += delta[f] * value;
        }
        count_up(pixel, step, d.p, d.q);
    }
#pragma unroll
    for (int f = 0; f < FILTERS; ++f)
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
            const scalar_t total = block_sum(sum[f][j], scratch);
            if (threadIdx.x == 0 && row0 + f < filters && col0 + j < depth)
                parts[(part * d.k + row + f) * depth + col0 + j] = total;
        }
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_weight_reduce(const scalar_t* __restrict__ parts, scalar_t* __restrict__ dw, int count,
                              int slices) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += gridDim.x * blockDim.x) {
        scalar_t sum = 0;
        for (int slice = 0; slice < slices; ++slice) sum += parts[uint32(slice) * count + i];
        dw[i] = sum;
    }
}
