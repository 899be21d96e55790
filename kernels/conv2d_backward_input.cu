// conv2d_backward_input: dx = the full convolution of δ, dilated by the stride and padded, with rot180(w),
// input and output channels swapped (S4 eq. 15, S2 BP2). As a gather:
// implements A4 A5 A6 S0:4 S1:3.2 S2:BP2 S3:2.28 S4:15
//
//   dx[n,c,i,j] = Σ_{k,r,s} dy[n,k,p,q] · w[k,c,r,s]   over all p·stride + r·dilation = i + pad (q, s alike).
//
// Of the rows i of one phase (i mod stride), the same r solve the equation and p moves by one from row
// to row. So each of the stride_h x stride_w phases is a dense convolution of its own over δ, with the
// kernel's taps of that phase: no inserted zero is stored, read or multiplied. A phase without a tap
// (stride > kernel, or dilation sharing a factor with the stride) comes out as 0.
//
// dy (N,K,P,Q)  w (K,C/groups,R,S)  dx (N,C,H,W), any shape whose output is dy's
// conv2d_backward_input            implicit matrix product (conv_tile.cuh): rows c of a group, columns
//                                  (n, rows and columns of a phase), depth (k, the phase's taps).
//                                  grid groups · phases · ⌈columns of the largest phase/TILE_N⌉ ·
//                                  ⌈C/groups/TILE_M⌉, rows fastest. block kThreads
// conv2d_backward_input_depthwise  for C/groups = 1: a thread an element, grid-stride loop
// macros    SCALAR; TILE_M TILE_N TILE_K THREAD_M THREAD_N
// race-free phases share no cell; each dx is written once, by one thread, its sum in the order of (k,r,s)
// cost      2·N·K·P·Q·C/groups·R·S FLOPs at most; dy, w read and dx written once from DRAM
#include "conv_tile.cuh"

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

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
conv2d_backward_input(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                      scalar_t* __restrict__ dx, Conv2dParams d) {
    __shared__ ConvTile tile;
    // Too many numbers for every thread's registers: the phase along both axes, the first column.
    __shared__ Phase v;
    __shared__ Phase u;
    __shared__ uint32 col0;
    const int filters = d.k / d.groups, channels = d.c / d.groups, kernel = d.r * d.s;
    const int phases_h = min(d.stride_h, d.h), phases_w = min(d.stride_w, d.w);
    const uint32 most = uint32(d.n) * ceil_div(d.h, phases_h) * ceil_div(d.w, phases_w);
    const uint32 row_tiles = ceil_div(channels, TILE_M), col_tiles = (most - 1) / TILE_N + 1;
    uint32 block = blockIdx.x;
    const int row0 = block % row_tiles * TILE_M;
    block /= row_tiles;
    const uint32 col_tile = block % col_tiles;
    block /= col_tiles;
    const int group = block / phases_h / phases_w;
    if (threadIdx.x == 0) {
        col0 = col_tile * TILE_N;
        v = phase_of(block % phases_h, d.pad_top, d.stride_h, d.dilation_h, d.r, d.h);
        u = phase_of(block / phases_h % phases_w, d.pad_left, d.stride_w, d.dilation_w, d.s, d.w);
    }
    __syncthreads();
    // The phase may have fewer columns than the largest, for which the grid is.
    if (col0 >= uint32(d.n) * v.cells * u.cells) return;

    scalar_t sum[THREAD_M][THREAD_N];
    const int taps = v.taps * u.taps, first = group * channels + row0;
    conv_tile<false>(
        tile, sum, w, group * filters * channels + row0, kernel, channels - row0, dy, d.p, d.q, 0, filters * taps,
        v.taps, u.taps, {false, pixels_are_x(d) && aligned(dy)},
        [&](const Digits& at, int) {
            const int h = -at.middle * v.back, q = -at.low * u.back;
            const int r = v.first + at.middle * v.step, s = u.first + at.low * u.step;
            return Tap{(at.high * d.p + h) * d.q + q, h, q, (at.high * channels * d.r + r) * d.s + s};
        },
        [&](int col) {
            const Cell cell = cell_of(col0 + col, v, u);
            if (cell.n >= d.n) return Column{0, kOutside, 0};
            const int h = v.origin + cell.i, q = u.origin + cell.j;
            return Column{((cell.n * d.k + group * filters) * d.p + h) * d.q + q, h, q};
        });
    const uint32 plane = d.h * d.w;
    const bool packs = d.stride_h * d.stride_w == 1 && plane % kVector == 0 && aligned(dx);
    store_tile(
        sum, dx + first * plane, plane, channels - row0, packs,
        [&](int col) {
            const Cell cell = cell_of(col0 + col, v, u);
            const int row = cell.n * d.c * d.h + v.cell + cell.i * d.stride_h;
            return cell.n < d.n ? row * d.w + u.cell + cell.j * d.stride_w : -1;
        },
        [](scalar_t value, int) { return value; });
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_input_depthwise(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                                scalar_t* __restrict__ dx, Conv2dParams d) {
    const uint32 plane = d.h * d.w, count = uint32(d.n) * d.c * plane;
    const int multiplier = d.k / d.groups;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const uint32 n = i / plane / d.c;
        const int c = i / plane % d.c;
        const Phase v = phase_of(i % plane / d.w, d.pad_top, d.stride_h, d.dilation_h, d.r, d.h);
        const Phase u = phase_of(i % plane % d.w, d.pad_left, d.stride_w, d.dilation_w, d.s, d.w);
        scalar_t sum = 0;
        for (int k = c * multiplier; k < (c + 1) * multiplier; ++k) {
            const scalar_t* const source = dy + (n * d.k + k) * d.p * d.q;
            const scalar_t* const weight = w + uint32(k) * d.r * d.s;
            for (int r = 0; r < v.taps; ++r) {
                const int p = v.origin - r * v.back;
                if (uint32(p) >= uint32(d.p)) continue;
                for (int s = 0; s < u.taps; ++s) {
                    const int q = u.origin - s * u.back;
                    if (uint32(q) < uint32(d.q))
                        sum += source[p * d.q + q] * weight[(v.first + r * v.step) * d.s + u.first + s * u.step];
                }
            }
        }
        dx[i] = sum;
    }
}
