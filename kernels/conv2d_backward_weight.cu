// conv2d_backward_weight: dw[k,c,r,s] = Σ_{n,p,q} dy[n,k,p,q] · x[n,c,p·stride−pad+r·dilation, …]
// (S4 eq. 18, S2 BP4): few results, each a long sum over the batch and all pixels. So the sum is split
// into `slices` of `slice` pixels that are independent blocks; their partial sums go to a workspace and
// a second kernel adds them in the order of the slices.
// implements A6 A7 S0:5 S1:3.1 S2:BP4 S3:2.21 S4:18
//
// dy (N,K,P,Q)  x (N,C,H,W)  dw (K,C/groups,R,S)  parts (slices,K,C/groups,R,S); dw itself for one slice
// conv2d_backward_weight            implicit matrix product (conv_tile.cuh): rows k, columns (c,r,s), depth
//                                   (n,p,q). grid slices · groups · ⌈C/groups·R·S/TILE_N⌉ ·
//                                   ⌈K/groups/TILE_M⌉, rows fastest: they read the same x. block kThreads
// conv2d_backward_weight_depthwise  for C/groups = 1: a block sums TAPS taps of a filter over a slice, its
//                                   threads stride over the pixels. grid slices · K · ⌈R·S/TAPS⌉, block 256
// conv2d_backward_weight_reduce     dw[i] = Σ_slice parts[slice,i], a thread an element, grid-stride loop
// macros    SCALAR; TILE_M TILE_N TILE_K THREAD_M THREAD_N
// race-free each part and each dw is written once, by one thread, and added in a fixed order; slices
//           depend on the shape alone (gpucnn/ops/kernels/convolution.py), so the bits do too
// cost      2·N·K·P·Q·C/groups·R·S FLOPs; dy, x read once from DRAM, parts written and read
#include "conv_tile.cuh"

#define TAPS 9
#define DEPTHWISE_THREADS 256

// Places in x and dy of output pixel `pixel` (n,p,q flattened), for the image's first channels.
DEVICE Tap pixel_tap(const Conv2dParams& d, uint32 pixel) {
    const uint32 pq = d.p * d.q, n = pixel / pq, rest = pixel % pq;
    const int h = int(rest / d.q) * d.stride_h - d.pad_top, w = int(rest % d.q) * d.stride_w - d.pad_left;
    return {n * d.c * d.h * d.w + uint32(h) * d.w + w, h, w, int(n * d.k * pq + rest)};
}

DEVICE Column filter_column(const Conv2dParams& d, int col, int depth) {
    const int rs = d.r * d.s, c = col / rs, h = col % rs / d.s * d.dilation_h, w = col % d.s * d.dilation_w;
    return {uint32(c) * d.h * d.w + uint32(h) * d.w + w, h, w, col < depth};
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
conv2d_backward_weight(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x,
                       scalar_t* __restrict__ parts, Conv2dParams d, int slice) {
    __shared__ ConvTile tile;
    // The taps' divisors are read from here: kept in registers, with their reciprocals, they spill.
    __shared__ Conv2dParams geometry;
    if (threadIdx.x == 0) geometry = d;
    __syncthreads();
    const int filters = d.k / d.groups, channels = d.c / d.groups, depth = channels * d.r * d.s;
    const uint32 pixels = uint32(d.n) * d.p * d.q;
    const uint32 row_tiles = ceil_div(filters, TILE_M), col_tiles = ceil_div(depth, TILE_N);
    uint32 block = blockIdx.x;
    const int row0 = block % row_tiles * TILE_M;
    block /= row_tiles;
    const int col0 = block % col_tiles * TILE_N;
    block /= col_tiles;
    const int group = block % d.groups;
    const uint32 part = block / d.groups, first = part * slice;

    scalar_t sum[THREAD_M][THREAD_N];
    conv_tile<true>(
        tile, sum, dy + uint32(group * filters + row0) * d.p * d.q, d.p * d.q, filters - row0,
        x + uint32(group * channels) * d.h * d.w, d.h, d.w, first, min(first + slice, pixels),
        [&](int k) { return pixel_tap(geometry, k); },
        [&](int col) { return filter_column(d, col0 + col, depth); });

    scalar_t* const out = parts + part * d.k * depth;
#pragma unroll
    for (int i = 0; i < THREAD_M; ++i) {
        const int row = row0 + tile_row(i);
        if (row >= filters) continue;
        scalar_t* const at = out + uint32(group * filters + row) * depth;
#pragma unroll
        for (int j = 0; j < THREAD_N; ++j)
            if (col0 + tile_col(j) < depth) at[col0 + tile_col(j)] = sum[i][j];
    }
}

extern "C" __global__ void __launch_bounds__(DEPTHWISE_THREADS)
conv2d_backward_weight_depthwise(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x,
                                 scalar_t* __restrict__ parts, Conv2dParams d, int slice) {
    __shared__ scalar_t scratch[DEPTHWISE_THREADS / 32];
    const int kernel = d.r * d.s, multiplier = d.k / d.groups;
    const uint32 pixels = uint32(d.n) * d.p * d.q, chunks = ceil_div(kernel, TAPS);
    const int tap0 = blockIdx.x % chunks * TAPS, k = blockIdx.x / chunks % d.k;
    const uint32 part = blockIdx.x / chunks / d.k, first = part * slice;
    const uint32 last = min(first + slice, pixels);
    const scalar_t* const source = x + uint32(k / multiplier) * d.h * d.w;
    const scalar_t* const delta = dy + uint32(k) * d.p * d.q;

    Column taps[TAPS];
    scalar_t sum[TAPS];
#pragma unroll
    for (int i = 0; i < TAPS; ++i) {
        taps[i] = filter_column(d, tap0 + i, kernel);
        sum[i] = 0;
    }
    for (uint32 pixel = first + threadIdx.x; pixel < last; pixel += DEPTHWISE_THREADS) {
        const Tap at = pixel_tap(d, pixel);
        const scalar_t value = delta[at.a];
#pragma unroll
        for (int i = 0; i < TAPS; ++i)
            if (taps[i].there && uint32(at.h + taps[i].h) < uint32(d.h) && uint32(at.w + taps[i].w) < uint32(d.w))
                sum[i] += value * source[at.offset + taps[i].offset];
    }
#pragma unroll
    for (int i = 0; i < TAPS; ++i) {
        const scalar_t total = block_sum(sum[i], scratch);
        if (threadIdx.x == 0 && tap0 + i < kernel) parts[(part * d.k + k) * kernel + tap0 + i] = total;
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
