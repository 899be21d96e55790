// The tile product that the three convolutions share: an implicit matrix product
//
//   sum[row][col] = Σ_k  a[row, k] · source[col + k],     k ascending, one fused multiply-add each.
//
// A reduction index k is a Tap and a column of the product is a Column; both are places in `source`
// that are added, and the sum counts only where it lies inside of the image. So forward, the input's
// and the weight's gradient differ in their taps and columns alone, and no matrix is ever stored.
//
// A block makes TILE_M x TILE_N sums, a thread THREAD_M x THREAD_N of them in registers. Tiles of
// depth TILE_K go through two buffers of shared memory: the next one is read into registers while the
// present one is multiplied, so an iteration has one barrier. The taps of a tile are worked out once,
// an iteration ahead of their use; no division is left in the loop of the loads.
//
// Each sum is taken by one thread in the order of k: the bits do not depend on the tile's sizes.
#ifndef GPUCNN_CONV_TILE_CUH
#define GPUCNN_CONV_TILE_CUH
#include "common.cuh"

#ifndef TILE_M
#define TILE_M 64
#define TILE_N 64
#define TILE_K 8
#define THREAD_M 4
#define THREAD_N 4
#endif

constexpr int kVector = 16 / sizeof(scalar_t);  // scalars of a 16-byte access
constexpr int kThreadRows = TILE_M / THREAD_M, kThreadCols = TILE_N / THREAD_N;
constexpr int kThreads = kThreadRows * kThreadCols;
// Blocks that a multiprocessor must hold: 16 warps, 25 % of sm_80's and sm_90's 64. More would leave a
// thread less than 128 registers, of which 64 hold the sums of an 8 x 8 tile.
constexpr int kBlocks = 512 / kThreads;
constexpr int kLoadsA = TILE_M * TILE_K / kThreads, kLoadsB = TILE_N * TILE_K / kThreads;

static_assert(THREAD_M % kVector == 0 && THREAD_N % kVector == 0, "whole vectors a thread");
static_assert(kThreadRows % 4 == 0 && kThreadCols % 8 == 0, "a warp is 4 x 8 threads");
static_assert(kThreads % TILE_N == 0 && TILE_K % (kThreads / TILE_N) == 0, "whole rows of B");
static_assert(kThreads % TILE_K == 0 && TILE_M % (kThreads / TILE_K) == 0, "whole columns of A");
static_assert(TILE_N % (kThreads / TILE_K) == 0 && 512 % kThreads == 0, "whole columns of B");

// Offsets are modulo 2^32: a place in the padding may come out negative before it is refused.
struct Tap {
    uint32 offset;
    int h, w;
    int a;  // offset in a row of A; -1 beyond the last k
};
struct Column {
    uint32 offset;
    int h, w;
    int there;
};
struct alignas(16) Vector {
    scalar_t at[kVector];
};
// Rows are padded by 16 bytes: a warp's stores along k fall into different banks.
struct alignas(16) ConvTile {
    scalar_t a[2][TILE_K][TILE_M + kVector];
    scalar_t b[2][TILE_K][TILE_N + kVector];
    Tap taps[2][TILE_K];
    Column columns[TILE_N];  // with ALONG_K, where a thread loads several columns
};

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

DEVICE void multiply_tile(const ConvTile& tile, int buffer, scalar_t (&sum)[THREAD_M][THREAD_N]) {
#pragma unroll 2  // all of them would read further ahead than there are registers
    for (int k = 0; k < TILE_K; ++k) {
        Vector a[THREAD_M / kVector], b[THREAD_N / kVector];
#pragma unroll
        for (int i = 0; i < THREAD_M / kVector; ++i)
            a[i] = *reinterpret_cast<const Vector*>(&tile.a[buffer][k][tile_row(i * kVector)]);
#pragma unroll
        for (int j = 0; j < THREAD_N / kVector; ++j)
            b[j] = *reinterpret_cast<const Vector*>(&tile.b[buffer][k][tile_col(j * kVector)]);
#pragma unroll
        for (int i = 0; i < THREAD_M; ++i)
#pragma unroll
            for (int j = 0; j < THREAD_N; ++j)
                sum[i][j] += a[i / kVector].at[i % kVector] * b[j / kVector].at[j % kVector];
    }
}

// sum = the block's tile over k in [first, last). `a` points at the tile's first row, `rows` of its
// rows exist, a_stride apart. `tap(k)` and `column(col)` give the places; `source` is height x width
// in each plane. ALONG_K: neighbouring threads load neighbouring k (the weight's gradient, where k is
// the pixel), else neighbouring columns (where the column is).
template <bool ALONG_K, class TapOf, class ColumnOf>
DEVICE void conv_tile(ConvTile& tile, scalar_t (&sum)[THREAD_M][THREAD_N], const scalar_t* a,
                      uint32 a_stride, int rows, const scalar_t* source, int height, int width,
                      int first, int last, TapOf tap, ColumnOf column) {
    const int t = threadIdx.x;
    const int along_k = t % TILE_K, row0 = t / TILE_K;  // A, and B with ALONG_K
    const int rows_apart = kThreads / TILE_K, k_apart = kThreads / TILE_N;
    const Column mine = column(t % TILE_N);
    if (ALONG_K && t < TILE_N) tile.columns[t] = mine;
#pragma unroll
    for (int i = 0; i < THREAD_M; ++i)
#pragma unroll
        for (int j = 0; j < THREAD_N; ++j) sum[i][j] = scalar_t(0);

    scalar_t next_a[kLoadsA], next_b[kLoadsB];
    const auto place_taps = [&](int buffer, int k) {
        if (t < TILE_K) tile.taps[buffer][t] = k + t < last ? tap(k + t) : Tap{0, 0, 0, -1};
    };
    const auto load = [&](int buffer) {
        const int a_offset = tile.taps[buffer][along_k].a;
        const int rows_here = a_offset >= 0 ? rows - row0 : 0;
#pragma unroll
        for (int i = 0; i < kLoadsA; ++i)
            next_a[i] = i * rows_apart < rows_here ? a[uint32(row0 + i * rows_apart) * a_stride + a_offset]
                                                   : scalar_t(0);
#pragma unroll
        for (int i = 0; i < kLoadsB; ++i) {
            const Tap at = tile.taps[buffer][ALONG_K ? along_k : t / TILE_N + i * k_apart];
            const Column col = ALONG_K ? tile.columns[row0 + i * rows_apart] : mine;
            const bool inside = col.there && at.a >= 0 && uint32(col.h + at.h) < uint32(height) &&
                                uint32(col.w + at.w) < uint32(width);
            next_b[i] = inside ? source[col.offset + at.offset] : scalar_t(0);
        }
    };
    const auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < kLoadsA; ++i) tile.a[buffer][along_k][row0 + i * rows_apart] = next_a[i];
#pragma unroll
        for (int i = 0; i < kLoadsB; ++i)
            tile.b[buffer][ALONG_K ? along_k : t / TILE_N + i * k_apart]
                          [ALONG_K ? row0 + i * rows_apart : t % TILE_N] = next_b[i];
    };

    if (first >= last) return;
    place_taps(0, first);
    place_taps(1, first + TILE_K);
    __syncthreads();
    load(0);
    store(0);
    __syncthreads();
    const int tiles = (last - first - 1) / TILE_K + 1;
    for (int i = 0; i < tiles; ++i) {
        const int buffer = i & 1, left = tiles - i - 1;
        if (left > 0) load(buffer ^ 1);
        multiply_tile(tile, buffer, sum);
        if (left > 0) store(buffer ^ 1);
        // Their last readers loaded this tile, before the last barrier.
        if (left > 1) place_taps(buffer, first + (i + 2) * TILE_K);
        __syncthreads();
    }
}

#endif  // GPUCNN_CONV_TILE_CUH
