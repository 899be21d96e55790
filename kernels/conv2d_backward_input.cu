// conv2d_backward_input: dx = the full convolution of δ, dilated by the stride and padded, with rot180(w),
// input and output channels swapped (S4 eq. 15, S2 BP2). As a gather:
// implements A4 A5 A6 S0:4 S1:3.2 S2:BP2 S3:2.28 S4:15
//
//   dx[n,c,i,j] = Σ_{k,r,s} dy[n,k,p,q] · w[k,c,r,s]   over all p·stride + r·dilation = i + pad (q, s alike).
//
// Of the rows i of one phase (i mod stride), the same r solve the equation and p moves by one from row
// to row. So each of the stride_h x stride_w phases is a dense convolution of its own over δ, with the
// kernel's taps of that phase: no inserted zero is stored, read or multiplied. A phase without a tap
// (stride > kernel, or dilation sharing a factor with the stride) comes out as 0. A residual is then
// added to dx, and behind a ReLU that made x (relu_y), dx is 0 where x <= 0.
//
// dy (N,K,P,Q)  w (K,C/groups,R,S)  dx (N,C,H,W), any shape whose output is dy's
// residual, relu_y like dx or null
// conv2d_backward_input            implicit matrix product (conv_pipeline.cuh): rows c of a group, columns
//                                  (n, rows and columns of a phase), depth (k, the phase's taps).
//                                  grid groups · phases · ⌈columns of the largest phase/TILE_N⌉ ·
//                                  ⌈C/groups/TILE_M⌉, in the order of place_of(). block kThreads
// conv2d_backward_input_direct     for C/groups <= 4 (conv_direct.cuh): a thread a cell of all channels.
//                                  grid as above with 128 columns and one tile of rows, block 128
// conv2d_backward_input_depthwise  for C/groups = 1 in groups: a thread makes a strip of kStrip cells of a
//                                  phase below each other (conv_depthwise.cuh). grid-stride loop over
//                                  N·C·⌈cells of the largest phase/kStrip⌉·phases·W strips
// macros    SCALAR; TILE_M TILE_N TILE_K THREAD_M THREAD_N STAGES SWIZZLE; KERNEL
// race-free phases share no cell; each dx is written once, by one thread, its sum in the order of (k,r,s)
// cost      2·N·K·P·Q·C/groups·R·S FLOPs at most; dy, w, residual, relu_y read and dx written once from DRAM
#include "conv_depthwise.cuh"
#include "conv_direct.cuh"
#include "conv_pipeline.cuh"

#define CHANNELS 4  // of a group, at most, in conv2d_backward_input_direct

// One axis of a phase, from row `cell` on: its rows cell + i·stride, i < cells, and its taps
// r = first + t·step, t < taps, which meet output row p = origin + i − t·back.
struct Phase {
    int cell, cells, first, step, taps, origin, back;
};
struct Cell {
    int n, i, j;  // image, row and column in the phase
};

DEVICE Phase phase_of(int cell, int pad, int stride, int dilation, int kernel, int size) {
    // The most frequent case needs no search, which the depthwise kernel would make for every element.
    if (stride == 1) return {cell, size - cell, 0, 1, kernel, cell + pad, dilation};
    int a = stride, b = dilation;
    while (b) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    const int step = stride / a, cells = (size - 1 - cell) / stride + 1;
    for (int r = 0; r < step && r < kernel; ++r)
        if ((cell + pad - r * dilation) % stride == 0)
            return {cell, cells, r, step, (kernel - 1 - r) / step + 1, (cell + pad - r * dilation) / stride,
                    dilation / a};
    return {cell, cells, 0, step, 0, 0, 0};
}

DEVICE Cell cell_of(uint32 column, const Phase& v, const Phase& u) {
    const uint32 image = v.cells * u.cells, rest = column % image;
    return {int(column / image), int(rest / u.cells), int(rest % u.cells)};
}

// Which phases, columns and group a block works on, from its number among the blocks of one tile of rows.
struct Work {
    Phase v, u;  // along H and W
    uint32 first;
    int group;
};

DEVICE Work work_of(const Conv2dParams& d, uint32 block, int columns) {
    const int phases_h = min(d.stride_h, d.h), phases_w = min(d.stride_w, d.w);
    const uint32 most = uint32(d.n) * ceil_div(d.h, phases_h) * ceil_div(d.w, phases_w);
    const uint32 tiles = (most - 1) / columns + 1, phase = block / tiles;
    return {phase_of(phase % phases_h, d.pad_top, d.stride_h, d.dilation_h, d.r, d.h),
            phase_of(phase / phases_h % phases_w, d.pad_left, d.stride_w, d.dilation_w, d.s, d.w),
            block % tiles * columns, int(phase / phases_h / phases_w)};
}

// Places in dy and w of tap `at` (k, and the r-th and s-th of the phase's taps).
DEVICE Tap phase_tap(const Conv2dParams& d, const Work& work, const Digits& at) {
    const int h = -at.middle * work.v.back, w = -at.low * work.u.back;
    const int r = work.v.first + at.middle * work.v.step, s = work.u.first + at.low * work.u.step;
    return {(at.high * d.p + h) * d.q + w, h, w, (at.high * (d.c / d.groups) * d.r + r) * d.s + s};
}

DEVICE Column phase_column(const Conv2dParams& d, const Work& work, const Cell& cell) {
    if (cell.n >= d.n) return {0, kOutside, 0};
    const int h = work.v.origin + cell.i, w = work.u.origin + cell.j, k = work.group * (d.k / d.groups);
    return {((cell.n * d.k + k) * d.p + h) * d.q + w, h, w};
}

// Offset of a cell in dx, in channel 0; -1 beyond the last image.
DEVICE int phase_place(const Conv2dParams& d, const Work& work, const Cell& cell) {
    const int row = cell.n * d.c * d.h + work.v.cell + cell.i * d.stride_h;
    return cell.n < d.n ? row * d.w + work.u.cell + cell.j * d.stride_w : -1;
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
conv2d_backward_input(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                      const scalar_t* __restrict__ residual, const scalar_t* __restrict__ relu_y,
                      scalar_t* __restrict__ dx, Conv2dParams d) {
    __shared__ ConvTile tile;
    __shared__ Work work;  // too many numbers for every thread's registers
    const int filters = d.k / d.groups, channels = d.c / d.groups, kernel = d.r * d.s;
    const uint32 row_tiles = ceil_div(channels, TILE_M), plane = d.h * d.w;
    const Place place = place_of(blockIdx.x, row_tiles, gridDim.x / row_tiles);
    const int row0 = place.row * TILE_M;
    if (threadIdx.x == 0) work = work_of(d, place.col, TILE_N);
    __syncthreads();
    // The phase may have fewer columns than the largest, for which the grid is.
    if (work.first >= uint32(d.n) * work.v.cells * work.u.cells) return;

    scalar_t sum[THREAD_M][THREAD_N];
    const auto cell = [&](int col) { return cell_of(work.first + col, work.v, work.u); };
    conv_tile<false>(
        tile, sum, w, work.group * filters * channels + row0, kernel, channels - row0, dy, d.p, d.q, 0,
        filters * work.v.taps * work.u.taps, work.v.taps, work.u.taps, {false, pixels_are_x(d) && aligned(dy)},
        [&](const Digits& at, int) { return phase_tap(d, work, at); },
        [&](int col) { return phase_column(d, work, cell(col)); });
    store_tile(
        sum, dx, (work.group * channels + row0) * plane, plane, channels - row0,
        d.stride_h * d.stride_w == 1 && plane % kVector == 0, {residual, relu_y, false},
        [&](int col) { return phase_place(d, work, cell(col)); }, [](scalar_t value, int) { return value; });
}

// At least 8 blocks: ptxas, left alone, goes for 10 in float64 on sm_86 and spills for it.
extern "C" __global__ void __launch_bounds__(kDirectThreads, 8)
conv2d_backward_input_direct(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                             const scalar_t* __restrict__ residual, const scalar_t* __restrict__ relu_y,
                             scalar_t* __restrict__ dx, Conv2dParams d) {
    __shared__ DirectTile<CHANNELS> tile;
    __shared__ Work work;
    const int filters = d.k / d.groups, channels = d.c / d.groups;
    const uint32 plane = d.h * d.w;
    if (threadIdx.x == 0) work = work_of(d, blockIdx.x, kDirectThreads);
    __syncthreads();
    if (work.first >= uint32(d.n) * work.v.cells * work.u.cells) return;

    scalar_t sum[CHANNELS];
    const Cell cell = cell_of(work.first + threadIdx.x, work.v, work.u);
    conv_direct(tile, sum, w, work.group * filters * channels, d.r * d.s, channels, dy, d.p, d.q,
                filters * work.v.taps * work.u.taps, work.v.taps, work.u.taps, phase_column(d, work, cell),
                [&](const Digits& at, int) { return phase_tap(d, work, at); });
    if (cell.n >= d.n) return;
    const uint32 base = phase_place(d, work, cell);
    const Epilogue end = {residual, relu_y, false};
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        const uint32 at = base + (work.group * channels + c) * plane;
        if (c < channels) dx[at] = finish(sum[c], end, at);
    }
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_input_depthwise(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                                const scalar_t* __restrict__ residual,
                                const scalar_t* __restrict__ relu_y, scalar_t* __restrict__ dx,
                                Conv2dParams d) {
    const Epilogue end = {residual, relu_y, false};
    const int stride = KERNEL ? 1 : d.stride_h, phases = min(stride, d.h), multiplier = d.k / d.groups;
    const uint32 strips = ceil_div(ceil_div(d.h, phases), kStrip), count = uint32(d.n) * d.c * strips * phases * d.w;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const int j = i % d.w, strip = i / d.w % (strips * phases);
        const uint32 plane = i / d.w / (strips * phases);
        const int c = plane % d.c, row = strip % phases + strip / phases * kStrip * stride;
        const Phase v = phase_of(row, d.pad_top, d.stride_h, d.dilation_h, d.r, d.h);
        const Phase u = phase_of(j, d.pad_left, d.stride_w, d.dilation_w, d.s, d.w);
        // Begun before the sums, and counted up for the largest window: ptxas spills for less on some GPUs.
        const uint32 first = (plane * d.h + row) * d.w + j;
        uint32 at = first;
        scalar_t sum[kStrip] = {};
        for (int k = c * multiplier; k < (c + 1) * multiplier; ++k) {
            const int image = plane / d.c * d.k + k;
#if KERNEL
            depthwise_strip<-1>(sum, dy + image * d.p * d.q, d.p, d.q, row + d.pad_top, j + d.pad_left,
                                w + k * KERNEL * KERNEL);
#else
            for (int r = 0; r < v.taps; ++r) {
                for (int s = 0; s < u.taps; ++s) {
                    const int q = u.origin - s * u.back;
                    if (uint32(q) >= uint32(d.q)) continue;
                    const scalar_t weight = w[(k * d.r + v.first + r * v.step) * d.s + u.first + s * u.step];
#pragma unroll
                    for (int o = 0; o < kStrip; ++o) {
                        const int p = v.origin + o - r * v.back;
                        if (uint32(p) < uint32(d.p)) sum[o] += dy[(image * d.p + p) * d.q + q] * weight;
                    }
                }
            }
#endif
        }
#pragma unroll
        for (int o = 0; o < kStrip; ++o) {
            if (KERNEL < 7) at = first + o * stride * d.w;
            if (row + o * stride < d.h) dx[at] = finish(sum[o], end, at);
            if (KERNEL == 7) at += stride * d.w;
        }
    }
}
