// The loop over the tiles of a sum, in two ways that give the same bits:
//
// STAGES 2   the next tile is read into registers while the present one is multiplied, and written to the
//            other of two buffers. 16 bytes at once wherever neighbours lie together.
// STAGES 3+  cp.async (sm_80 and newer) brings the next STAGES - 1 tiles past the registers, so a load may
//            take the time of STAGES - 1 products. What lies in memory as it will in the tile (B's
//            packs of columns) goes 16 bytes at a time, all else element by element: a copy cannot turn
//            a pack of A along k into a column of the tile.
//
// Either way, an iteration has one barrier.
#ifndef GPUCNN_CONV_PIPELINE_CUH
#define GPUCNN_CONV_PIPELINE_CUH
#include "async.cuh"
#include "conv_tile.cuh"

// sum = the block's tile over k in [first, last). Its rows are those of `a` from a_row on, `rows` of
// them exist, a_stride apart. k counts in digits below `middles` and `lows`; `tap(digits, k)` and
// `column(col)` give the places; `source` is height x width in each plane. ALONG_K: neighbouring
// threads load neighbouring k (the weight's gradient, where k is the pixel), else neighbouring columns
// (where the column is).
#if STAGES == 2

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
    clear(sum);
    if (first >= last) return;

    const Column mine = column(ALONG_K ? t % TILE_N : col);
    begin_taps<ALONG_K>(tile, mine, first, middles, lows);
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
    place_taps(tile, 0, first, last, middles, lows, tap);
    place_taps(tile, 1, first + TILE_K, last, middles, lows, tap);
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
        if (left > 1) place_taps(tile, buffer, first + (i + 2) * TILE_K, last, middles, lows, tap);
        __syncthreads();
    }
}

#else

template <bool ALONG_K, class TapOf, class ColumnOf>
DEVICE void conv_tile(ConvTile& tile, scalar_t (&sum)[THREAD_M][THREAD_N], const scalar_t* a,
                      uint32 a_row, uint32 a_stride, int rows, const scalar_t* source, int height,
                      int width, int first, int last, int middles, int lows, Vectors vectors,
                      TapOf tap, ColumnOf column) {
    constexpr int bytes = sizeof(scalar_t);
    const int t = threadIdx.x;
    const bool packs = vectors.b && !ALONG_K;
    const int along_k = t % TILE_K, row0 = t / TILE_K;  // A, and B with ALONG_K
    const int rows_apart = kThreads / TILE_K;
    const int col_k = packs ? t / kPacksN : t / TILE_N;
    const int cols_k = packs ? kThreads / kPacksN : kThreads / TILE_N;
    const int col = packs ? t % kPacksN * kVector : t % TILE_N;
    clear(sum);
    if (first >= last) return;

    const Column mine = column(ALONG_K ? t % TILE_N : col);
    begin_taps<ALONG_K>(tile, mine, first, middles, lows);
    const auto copy = [&](int stage) {
        const Tap* const taps = tile.taps[stage];
        const int offset = taps[along_k].a, here = offset >= 0 ? rows - row0 : 0;
#pragma unroll
        for (int i = 0; i < kLoadsA; ++i)
            copy_async<bytes>(&tile.a[stage][along_k][row0 + i * rows_apart],
                              a + ((a_row + row0 + i * rows_apart) * a_stride + offset), i * rows_apart < here);
        if (packs) {
#pragma unroll
            for (int i = 0; i < kPacksB; ++i) {
                const int k = col_k + i * cols_k;
                if (k >= TILE_K) continue;
                const Tap at = taps[k];
                copy_async<16>(&tile.b[stage][k][col], source + (mine.offset + at.offset),
                               inside(at, mine, height, width));
            }
        } else {
#pragma unroll
            for (int i = 0; i < kLoadsB; ++i) {
                const int k = ALONG_K ? along_k : col_k + i * cols_k, to = ALONG_K ? row0 + i * rows_apart : col;
                const Tap at = taps[k];
                const Column place = ALONG_K ? tile.columns[to] : mine;
                copy_async<bytes>(&tile.b[stage][k][to], source + (place.offset + at.offset),
                                  inside(at, place, height, width));
            }
        }
    };

    __syncthreads();
    for (int stage = 0; stage < STAGES; ++stage)
        place_taps(tile, stage, first + stage * TILE_K, last, middles, lows, tap);
    __syncthreads();
    const int tiles = (last - first - 1) / TILE_K + 1;
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < tiles) copy(stage);
        commit_copies();
    }
    int stage = 0, free = STAGES - 1;
    for (int i = 0; i < tiles; ++i) {
        wait_copies<STAGES - 2>();
        // All threads' copies of this tile have landed, and all are done with the one before.
        __syncthreads();
        if (i + STAGES - 1 < tiles) copy(free);
        commit_copies();  // a group a tile, empty ones too: so the wait can count
        place_taps(tile, stage, first + (i + STAGES) * TILE_K, last, middles, lows, tap);
        multiply_tile(tile, stage, sum);
        free = stage;
        stage = stage + 1 < STAGES ? stage + 1 : 0;
    }
}

#endif  // STAGES
#endif  // GPUCNN_CONV_PIPELINE_CUH
