// conv2d_forward: y[n,k,p,q] = b[k] + Σ_{c,r,s} x[n,c,p·stride−pad+r·dilation, …] · w[k,c,r,s]
// (cross-correlation, S4 eq. 2), then + residual[n,k,p,q], then y <= 0 ? 0 : y with relu. c runs over the
// filter's group.
// implements A3 A28 C1 C5 S3:2.4 S4:1 S4:7.1 S4:7.2
//
// x (N,C,H,W)  w (K,C/groups,R,S)  b (K) or null  residual like y or null  y (N,K,P,Q)
// conv2d_forward            implicit matrix product (conv_pipeline.cuh): rows k, columns (n,p,q), depth
//                           (c,r,s). A block makes TILE_M filters x TILE_N pixels of a group.
//                           grid groups · ⌈NPQ/TILE_N⌉ · ⌈K/groups/TILE_M⌉, in the order of place_of().
//                           block kThreads.
// conv2d_forward_direct     for C/groups <= 4 (conv_direct.cuh): a thread makes FILTERS filters of a
//                           pixel. grid as above with FILTERS and 128, block 128.
// conv2d_forward_depthwise  for C/groups = 1 in groups: a thread makes a strip of kStrip outputs below each
//                           other (conv_depthwise.cuh); neighbours have neighbouring columns. grid-stride
//                           loop over N·K·⌈P/kStrip⌉·Q strips.
// macros    SCALAR; TILE_M TILE_N TILE_K THREAD_M THREAD_N STAGES SWIZZLE; FILTERS; KERNEL
// race-free each y is written once, by one thread, its sum in the order of (c,r,s)
// cost      2·N·K·P·Q·C/groups·R·S FLOPs; x, w, b, residual read and y written once from DRAM
#include "conv_depthwise.cuh"
#include "conv_direct.cuh"
#include "conv_pipeline.cuh"

#ifndef FILTERS
#define FILTERS 16
#endif

DEVICE scalar_t biased(scalar_t sum, const scalar_t* b, int k) { return b ? sum + b[k] : sum; }

// Places in x of output pixel `pixel` (n,p,q flattened), from the image's channel `channel` on.
DEVICE Column pixel_column(const Conv2dParams& d, uint32 pixel, int channel) {
    const Digits at = digits(pixel, d.p, d.q);
    if (at.high >= d.n) return {0, kOutside, 0};
    const int h = at.middle * d.stride_h - d.pad_top, w = at.low * d.stride_w - d.pad_left;
    return {((at.high * d.c + channel) * d.h + h) * d.w + w, h, w};
}

DEVICE Tap filter_tap(const Conv2dParams& d, const Digits& at, int k) {
    const int h = at.middle * d.dilation_h, w = at.low * d.dilation_w;
    return {(at.high * d.h + h) * d.w + w, h, w, k};
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
conv2d_forward(const scalar_t* __restrict__ x, const scalar_t* __restrict__ w,
               const scalar_t* __restrict__ b, const scalar_t* __restrict__ residual,
               scalar_t* __restrict__ y, Conv2dParams d, int relu) {
    __shared__ ConvTile tile;
    const int filters = d.k / d.groups, channels = d.c / d.groups, depth = channels * d.r * d.s;
    const uint32 pq = d.p * d.q, pixels = d.n * pq;
    const uint32 row_tiles = ceil_div(filters, TILE_M), col_tiles = (pixels - 1) / TILE_N + 1;
    const Place place = place_of(blockIdx.x, row_tiles, col_tiles);
    const int row0 = place.row * TILE_M, group = place.rest, first = group * filters + row0;
    const uint32 col0 = place.col * TILE_N;

    scalar_t sum[THREAD_M][THREAD_N];
    const Vectors vectors = {depth % kVector == 0 && aligned(w), pixels_are_x(d) && aligned(x)};
    conv_tile<false>(
        tile, sum, w, first, depth, filters - row0, x, d.h, d.w, 0, depth, d.r, d.s, vectors,
        [&](const Digits& at, int k) { return filter_tap(d, at, k); },
        [&](int col) { return pixel_column(d, col0 + col, group * channels); });
    store_tile(
        sum, y, first * pq, pq, filters - row0, pq % kVector == 0, {residual, nullptr, relu != 0},
        [&](int col) {
            const uint32 pixel = col0 + col;
            return pixel < pixels ? int(pixel / pq * d.k * pq + pixel % pq) : -1;
        },
        [&](scalar_t value, int row) { return biased(value, b, first + row); });
}

extern "C" __global__ void __launch_bounds__(kDirectThreads)
conv2d_forward_direct(const scalar_t* __restrict__ x, const scalar_t* __restrict__ w,
                      const scalar_t* __restrict__ b, const scalar_t* __restrict__ residual,
                      scalar_t* __restrict__ y, Conv2dParams d, int relu) {
    __shared__ DirectTile<FILTERS> tile;
    const int filters = d.k / d.groups, channels = d.c / d.groups, depth = channels * d.r * d.s;
    const uint32 pq = d.p * d.q, pixels = d.n * pq;
    const uint32 row_tiles = ceil_div(filters, FILTERS), col_tiles = (pixels - 1) / kDirectThreads + 1;
    const int row0 = blockIdx.x % row_tiles * FILTERS;
    const uint32 pixel = blockIdx.x / row_tiles % col_tiles * kDirectThreads + threadIdx.x;
    const int group = blockIdx.x / row_tiles / col_tiles, first = group * filters + row0;

    scalar_t sum[FILTERS];
    conv_direct(tile, sum, w, first, depth, filters - row0, x, d.h, d.w, depth, d.r, d.s,
                pixel_column(d, pixel, group * channels),
                [&](const Digits& at, int k) { return filter_tap(d, at, k); });
    if (pixel >= pixels) return;
    const uint32 base = pixel / pq * d.k * pq + pixel % pq;
    const Epilogue end = {residual, nullptr, relu != 0};
#pragma unroll
    for (int f = 0; f < FILTERS; ++f) {
        const uint32 at = base + (first + f) * pq;
        if (row0 + f < filters) y[at] = finish(biased(sum[f], b, first + f), end, at);
    }
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_forward_depthwise(const scalar_t* __restrict__ x, const scalar_t* __restrict__ w,
                         const scalar_t* __restrict__ b, const scalar_t* __restrict__ residual,
                         scalar_t* __restrict__ y, Conv2dParams d, int relu) {
    const Epilogue end = {residual, nullptr, relu != 0};
    const uint32 strips = ceil_div(d.p, kStrip), count = uint32(d.n) * d.k * strips * d.q;
    const int multiplier = d.k / d.groups;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const int q = i % d.q, p = i / d.q % strips * kStrip;
        const uint32 plane = i / d.q / strips;
        const int k = plane % d.k, channel = plane / d.k * d.c + k / multiplier;
        scalar_t sum[kStrip] = {};
#if KERNEL
        depthwise_strip<1>(sum, x + channel * d.h * d.w, d.h, d.w, p - d.pad_top, q - d.pad_left,
                           w + k * KERNEL * KERNEL);
#else
        for (int r = 0; r < d.r; ++r) {
            const int h = p * d.stride_h - d.pad_top + r * d.dilation_h;
            for (int s = 0; s < d.s; ++s) {
                const int column = q * d.stride_w - d.pad_left + s * d.dilation_w;
                if (uint32(column) >= uint32(d.w)) continue;
                const scalar_t weight = w[(k * d.r + r) * d.s + s];
#pragma unroll
                for (int o = 0; o < kStrip; ++o) {
                    const int row = h + o * d.stride_h;
                    if (uint32(row) < uint32(d.h)) sum[o] += x[(channel * d.h + row) * d.w + column] * weight;
                }
            }
        }
#endif
#pragma unroll
        for (int o = 0; o < kStrip; ++o) {
            const uint32 at = (plane * d.p + p + o) * d.q + q;
            if (p + o < d.p) y[at] = finish(biased(sum[o], b, k), end, at);
        }
    }
}
