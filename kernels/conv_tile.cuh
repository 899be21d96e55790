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
// an iteration ahead of their use, by counting up: the loop has no division.
//
// Where neighbours in a tile are neighbours in memory, 16 bytes are loaded and stored at once
// (Vectors); the bits are the same. Each sum is taken by one thread in the order of k: the bits do
// not depend on the tile's sizes either.
#ifndef GPUCNN_CONV_TILE_CUH
#define GPUCNN_CONV_TILE_CUH
#include "vector.cuh"

#ifndef TILE_M
#define TILE_M 64
#define TILE_N 64
#define TILE_K 8
#define THREAD_M 4
#define THREAD_N 4
#endif

constexpr int kThreadRows = TILE_M / THREAD_M, kThreadCols = TILE_N / THREAD_N;
constexpr int kThreads = kThreadRows * kThreadCols;
// Blocks that a multiprocessor must hold: 16 warps, 25 % of sm_80's and sm_90's 64. More would leave a
// thread less than 128 registers, of which 64 hold the sums of an 8 x 8 tile.
constexpr int kBlocks = 512 / kThreads;
constexpr int kLoadsA = TILE_M * TILE_K / kThreads, kLoadsB = TILE_N * TILE_K / kThreads;
constexpr int kPacksK = TILE_K / kVector, kPacksN = TILE_N / kVector;  // 16-byte packs along k, a row of B
constexpr int kPacksA = (kLoadsA - 1) / kVector + 1, kPacksB = (kLoadsB - 1) / kVector + 1;  // of a thread

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
    scalar_t a[2][TILE_K][TILE_M + kVector];
    scalar_t b[2][TILE_K][TILE_N + kVector];
    Tap taps[2][TILE_K];
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

// sum = the block's tile over k in [first, last). Its rows are those of `a` from a_row on, `rows` of
// them exist, a_stride apart. k counts in digits below `middles` and `lows`; `tap(digits, k)` and
// `column(col)` give the places; `source` is height x width in each plane. ALONG_K: neighbouring
// threads load neighbouring k (the weight's gradient, where k is the pixel), else neighbouring columns
// (where the column is).
template <bool ALONG_K, class TapOf, class ColumnOf>
DEVICE void conv_tile(ConvTile& tile, scalar_t (&sum)[THREAD_M][THREAD_N], const scalar_t* a,
                      uint32 a_row, uint32 a_stride, int rows, const scalar_t* source, int height,
                      int width, int first, int last, int middles, int lows, Vectors vectors,
                      TapOf tap, ColumnOf column) {
    const int t = threadIdx.x;
    const int along_k = t % TILE_K, row0 = t / TILE_K;  // A, and B with ALONG_K
    const int rows_apart = kThreads / TILE_K;
    const int pack_k = t % kPacksK * kVector, pack_row = t / kPacksK, pack_rows = kThreads / kPacksK;
    const int col_k = vectors.b ? t / kPacksN : t / TILE_N;
    const int cols_k = vectors.b ? kThreads / kPacksN : kThreads / TILE_N;
    const int col = vectors.b ? t % kPacksN * kVector : t % TILE_N;
#pragma unroll
    for (int i = 0; i < THREAD_M; ++i)
#pragma unroll
        for (int j = 0; j < THREAD_N; ++j) sum[i][j] = scalar_t(0);
    if (first >= last) return;

    const Column mine = column(ALONG_K ? t % TILE_N : col);
    if (ALONG_K && t < TILE_N) tile.columns[t] = mine;
    if (t < TILE_K) tile.next[t] = digits(first + t, middles, lows);
    if (t == 0) tile.step = digits(TILE_K, middles, lows);

    const auto place_taps = [&](int buffer, int k) {
        if (t >= TILE_K) return;
        Tap at = {0, kOutside, 0, -1};
        if (k + t < last) {
            Digits next = tile.next[t];
            at = tap(next, k + t);
            count_up(next, tile.step, middles, lows);
            tile.next[t] = next;
        }
        tile.taps[buffer][t] = at;
    };
    Pack<kVector> next_a[kPacksA], next_b[kPacksB];
    const auto load = [&](int buffer) {
        const Tap* const taps = tile.taps[buffer];
        if (vectors.a) {
            const int offset = taps[pack_k].a, here = offset >= 0 ? min(rows, TILE_M) - pack_row : 0;
#pragma unroll
            for (int i = 0; i < kPacksA; ++i)
                next_a[i] = i * pack_rows < here
                                ? load_pack<kVector>(a + ((a_row + pack_row + i * pack_rows) * a_stride + offset))
                                : Pack<kVector>{};
        } else {
            const int offset = taps[along_k].a, here = offset >= 0 ? rows - row0 : 0;
#pragma unroll
            for (int i = 0; i < kLoadsA; ++i)
                next_a[i / kVector].v[i % kVector] =
                    i * rows_apart < here ? a[(a_row + row0 + i * rows_apart) * a_stride + offset] : scalar_t(0);
        }
        if (vectors.b) {
#pragma unroll
            for (int i = 0; i < kPacksB; ++i) {
                const int k = ALONG_K ? pack_k : col_k + i * cols_k, row = pack_row + i * pack_rows;
                next_b[i] = Pack<kVector>{};
                if (ALONG_K ? row >= TILE_N : k >= TILE_K) continue;
                const Tap at = taps[k];
                const Column place = ALONG_K ? tile.columns[row] : mine;
                if (inside(at, place, height, width)) next_b[i] = load_pack<kVector>(source + (place.offset + at.offset));
            }
        } else {
#pragma unroll
            for (int i = 0; i < kLoadsB; ++i) {
                const Tap at = taps[ALONG_K ? along_k : col_k + i * cols_k];
                const Column place = ALONG_K ? tile.columns[row0 + i * rows_apart] : mine;
                next_b[i / kVector].v[i % kVector] =
                    inside(at, place, height, width) ? source[place.offset + at.offset] : scalar_t(0);
            }
        }
    };
    const auto store = [&](int buffer) {
        if (vectors.a) {
#pragma unroll
            for (int i = 0; i < kPacksA * kVector; ++i)
                if (pack_row + i / kVector * pack_rows < TILE_M)
                    tile.a[buffer][pack_k + i % kVector][pack_row + i / kVector * pack_rows] =
                        next_a[i / kVector].v[i % kVector];
        } else {
#pragma unroll
            for (int i = 0; i < kLoadsA; ++i)
                tile.a[buffer][along_k][row0 + i * rows_apart] = next_a[i / kVector].v[i % kVector];
        }
        if (vectors.b && ALONG_K) {
#pragma unroll
            for (int i = 0; i < kPacksB * kVector; ++i)
                if (pack_row + i / kVector * pack_rows < TILE_N)
                    tile.b[buffer][pack_k + i % kVector][pack_row + i / kVector * pack_rows] =
                        next_b[i / kVector].v[i % kVector];
        } else if (vectors.b) {
#pragma unroll
            for (int i = 0; i < kPacksB; ++i)
                if (col_k + i * cols_k < TILE_K) store_pack(&tile.b[buffer][col_k + i * cols_k][col], next_b[i]);
        } else {
#pragma unroll
            for (int i = 0; i < kLoadsB; ++i)
                tile.b[buffer][ALONG_K ? along_k : col_k + i * cols_k][ALONG_K ? row0 + i * rows_apart : col] =
                    next_b[i / kVector].v[i % kVector];
        }
    };

    __syncthreads();
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

// out[place(col) + row * row_stride] = finish(sum, row) for the tile's first `rows` rows and the columns
// whose place is not negative. `packs`: kVector columns lie together, at a multiple of 16 bytes.
template <class Place, class Finish>
DEVICE void store_tile(const scalar_t (&sum)[THREAD_M][THREAD_N], scalar_t* out, uint32 row_stride,
                       int rows, bool packs, Place place, Finish finish) {
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
                for (int v = 0; v < kVector; ++v) pack.v[v] = finish(sum[i][j + v], row);
                store_pack(out + (at + row * row_stride), pack);
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
                if (row < rows) out[at + row * row_stride] = finish(sum[i][j + v], row);
            }
        }
    }
}

#endif  // GPUCNN_CONV_TILE_CUH
