// The tile product that the three convolutions share: an implicit matrix product
//
//   sum[row][col] = Σ_k  a[row, k] · source[col + k],     k ascending, one fused multiply-add each.
//
// A reduction index k is a Tap and a column of the product is a Column; both are places in `source`
// that are added, and the sum counts only where it lies inside of the image. So forward, the input's
// and the weight's gradient differ in their taps and columns alone, and no matrix is ever stored.
//
// A block makes TILE_M x TILE_N sums, a thread THREAD_M x THREAD_N of them in registers, a warp those of
// 4 x 8 threads. Tiles of depth TILE_K go through STAGES buffers of shared memory (conv_pipeline.cuh).
// The taps of a tile are worked out once, an iteration ahead of their use, by counting up: the loop
// has no division.
//
// Each sum is taken by one thread in the order of k: the bits depend neither on the tile's sizes nor on
// STAGES, nor on whether 16 bytes are loaded and stored at once where neighbours in a tile are neighbours
// in memory (Vectors).
#ifndef GPUCNN_CONV_TILE_CUH
#define GPUCNN_CONV_TILE_CUH
#include "epilogue.cuh"

#ifndef TILE_M
#define TILE_M 64
#define TILE_N 64
#define TILE_K 8
#define THREAD_M 4
#define THREAD_N 4
#endif
#ifndef STAGES
#define STAGES 3
#endif
#ifndef SWIZZLE
#define SWIZZLE 16
#endif

constexpr int kThreadRows = TILE_M / THREAD_M, kThreadCols = TILE_N / THREAD_N;
constexpr int kThreads = kThreadRows * kThreadCols;
// Blocks that a multiprocessor must hold: 16 warps, 25 % of sm_80's and sm_90's 64. More would leave a
// thread less than 128 registers, of which 64 hold the sums of an 8 x 8 tile.
constexpr int kBlocks = 512 / kThreads;
constexpr int kLoadsA = TILE_M * TILE_K / kThreads, kLoadsB = TILE_N * TILE_K / kThreads;
constexpr int kPacksK = TILE_K / kVector, kPacksN = TILE_N / kVector;  // 16-byte packs along k, a row of B
constexpr int kPacksA = (kLoadsA - 1) / kVector + 1, kPacksB = (kLoadsB - 1) / kVector + 1;  // of a thread
// Steps of a product at once; more would read further ahead than there are registers, of which the largest
// tile's sums take half, and with two stages the next tile's numbers some.
constexpr int kUnrolled = STAGES == 2 || THREAD_M * THREAD_N > 32 ? 2 : 4;

static_assert(THREAD_M % kVector == 0 && THREAD_N % kVector == 0, "whole packs a thread");
static_assert(kThreadRows % 4 == 0 && kThreadCols % 8 == 0, "a warp is 4 x 8 threads");
static_assert(kThreads % TILE_N == 0 && TILE_K % (kThreads / TILE_N) == 0, "whole rows of B");
static_assert(kThreads % TILE_K == 0 && TILE_M % (kThreads / TILE_K) == 0, "whole columns of A");
static_assert(TILE_N % (kThreads / TILE_K) == 0 && 512 % kThreads == 0, "whole columns of B");
static_assert(TILE_K % kVector == 0, "whole packs along k");

constexpr int kOutside = -(1 << 30);  // a row that no other place added brings into an image

// Places are in rows, columns and elements of `source`; they may lie in the padding, before its begin.
struct alignas(16) Tap {
    int offset, h, w;
    int a;  // offset in a row of A
};
struct alignas(16) Column {
    int offset, h, w;
};
// A number as three digits that count up: (c,r,s) of a tap, (n,p,q) of a pixel.
struct Digits {
    int high, middle, low;
};
// Where packs of neighbours lie together in memory, at multiples of 16 bytes: along k in A and, with
// ALONG_K, in B; along the columns in B otherwise.
struct Vectors {
    bool a, b;
};
// Rows are padded by 16 bytes: a warp's stores along k fall into different banks.
struct alignas(16) ConvTile {
    scalar_t a[STAGES][TILE_K][TILE_M + kVector];
    scalar_t b[STAGES][TILE_K][TILE_N + kVector];
    Tap taps[STAGES][TILE_K];
    Digits next[TILE_K], step;  // the taps to be worked out, and how far they move on
    Column columns[TILE_N];     // with ALONG_K, where a thread loads several columns
};

// The pixels of y and of x are the same (a 1x1 kernel without padding), and a plane is whole packs.
DEVICE bool pixels_are_x(const Conv2dParams& d) {
    return d.r * d.s == 1 && d.stride_h * d.stride_w == 1 && d.p == d.h && d.q == d.w && d.p * d.q % kVector == 0;
}

DEVICE Digits digits(uint32 number, int middles, int lows) {
    return {int(number / lows / middles), int(number / lows % middles), int(number % lows)};
}

DEVICE void count_up(Digits& at, const Digits& step, int middles, int lows) {
    at.low += step.low;
    at.middle += step.middle;
    at.high += step.high;
    if (at.low >= lows) {
        at.low -= lows;
        ++at.middle;
    }
    if (at.middle >= middles) {
        at.middle -= middles;
        ++at.high;
    }
}

DEVICE bool inside(const Tap& at, const Column& col, int height, int width) {
    return uint32(col.h + at.h) < uint32(height) && uint32(col.w + at.w) < uint32(width);
}

// Which tile of the product a block makes: `row` and `col` count tiles, `rest` what lies outside of a product.
struct Place {
    uint32 row, col, rest;
};
// Through SWIZZLE tiles of rows, then the columns, then the next such band: blocks that run at the same
// time, some two a multiprocessor, are about as many rows as columns and read the least from L2.
DEVICE Place place_of(uint32 block, uint32 row_tiles, uint32 col_tiles) {
    const uint32 rest = block / (row_tiles * col_tiles);
    block -= rest * row_tiles * col_tiles;
    const uint32 band = block / (SWIZZLE * col_tiles) * SWIZZLE, rows = min(row_tiles - band, uint32(SWIZZLE));
    block -= band * col_tiles;
    return {band + block % rows, block / rows, rest};
}

// The thread's place: its i-th row (column) of the tile is tile_row(i) (tile_col(i)).
DEVICE int tile_row(int i) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int thread = warp / (kThreadCols / 8) * 4 + lane / 8;
    return i / kVector * (kThreadRows * kVector) + thread * kVector + i % kVector;
}
DEVICE int tile_col(int i) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int thread = warp % (kThreadCols / 8) * 8 + lane % 8;
    return i / kVector * (kThreadCols * kVector) + thread * kVector + i % kVector;
}

DEVICE void clear(scalar_t (&sum)[THREAD_M][THREAD_N]) {
#pragma unroll
    for (int i = 0; i < THREAD_M; ++i)
#pragma unroll
        for (int j = 0; j < THREAD_N; ++j) sum[i][j] = scalar_t(0);
}

template <bool ALONG_K>
DEVICE void begin_taps(ConvTile& tile, const Column& mine, int first, int middles, int lows) {
    const int t = threadIdx.x;
    if (ALONG_K && t < TILE_N) tile.columns[t] = mine;
    if (t < TILE_K) tile.next[t] = digits(first + t, middles, lows);
    if (t == 0) tile.step = digits(TILE_K, middles, lows);
}

// The taps of the tile that begins at k, of which only those below `last` exist.
template <class TapOf>
DEVICE void place_taps(ConvTile& tile, int stage, int k, int last, int middles, int lows, TapOf tap) {
    const int t = threadIdx.x;
    if (t >= TILE_K) return;
    Tap at = {0, kOutside, 0, -1};
    if (k + t < last) {
        Digits next = tile.next[t];
        at = tap(next, k + t);
        count_up(next, tile.step, middles, lows);
        tile.next[t] = next;
    }
    tile.taps[stage][t] = at;
}

DEVICE void multiply_tile(const ConvTile& tile, int buffer, scalar_t (&sum)[THREAD_M][THREAD_N]) {
#pragma unroll kUnrolled
    for (int k = 0; k < TILE_K; ++k) {
        Pack<kVector> a[THREAD_M / kVector], b[THREAD_N / kVector];
#pragma unroll
        for (int i = 0; i < THREAD_M / kVector; ++i)
            a[i] = load_pack<kVector>(&tile.a[buffer][k][tile_row(i * kVector)]);
#pragma unroll
        for (int j = 0; j < THREAD_N / kVector; ++j)
            b[j] = load_pack<kVector>(&tile.b[buffer][k][tile_col(j * kVector)]);
#pragma unroll
        for (int i = 0; i < THREAD_M; ++i)
#pragma unroll
            for (int j = 0; j < THREAD_N; ++j)
                sum[i][j] = fma(a[i / kVector].v[i % kVector], b[j / kVector].v[j % kVector], sum[i][j]);
    }
}

// out[at] = the end of biased(sum, row), at = base + place(col) + row * row_stride, for the tile's first
// `rows` rows and the columns whose place is not negative. `packs`: kVector columns lie together, at a
// multiple of 16 bytes.
template <class Place, class Biased>
DEVICE void store_tile(const scalar_t (&sum)[THREAD_M][THREAD_N], scalar_t* out, uint32 base, uint32 row_stride,
                       int rows, bool packs, const Epilogue& end, Place place, Biased biased) {
    packs = packs && aligned(out) && aligned(end);
#pragma unroll
    for (int j = 0; j < THREAD_N; j += kVector) {
        if (packs) {
            const int at = place(tile_col(j));
            if (at < 0) continue;
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
                const int row = tile_row(i);
                if (row >= rows) continue;
                Pack<kVector> pack;
#pragma unroll
                for (int v = 0; v < kVector; ++v) pack.v[v] = biased(sum[i][j + v], row);
                const uint32 here = base + at + row * row_stride;
                store_pack(out + here, finish(pack, end, here));
            }
            continue;
        }
#pragma unroll
        for (int v = 0; v < kVector; ++v) {
            const int at = place(tile_col(j + v));
            if (at < 0) continue;
#pragma unroll
            for (int i = 0; i < THREAD_M; ++i) {
                const int row = tile_row(i);
                if (row >= rows) continue;
                const uint32 here = base + at + row * row_stride;
                out[here] = finish(biased(sum[i][j + v], row), end, here);
            }
        }
    }
}

#endif  // GPUCNN_CONV_TILE_CUH
