// The sums of the convolutions for groups of few channels, where a tile of conv_tile.cuh would be mostly
// empty: a thread has one column of the same product and all ROWS of its rows, in registers. The
// weights of STAGED taps at a time lie in shared memory, where all threads read the same ones.
#ifndef GPUCNN_CONV_DIRECT_CUH
#define GPUCNN_CONV_DIRECT_CUH
#include "conv_tile.cuh"

constexpr int kDirectThreads = 128;  // of a block, and its columns
constexpr int kStaged = 32;
static_assert(kDirectThreads / 4 == kStaged, "a warp stages 8 taps");

// Rows of four words, or of 20: what eight lanes store eight taps apart falls into different banks.
template <int ROWS>
constexpr int kPitch = ROWS / 4 % 2 ? ROWS : ROWS + 4;

template <int ROWS>
struct alignas(16) DirectTile {
    scalar_t weights[kStaged][kPitch<ROWS>];
    Tap taps[kStaged];
};

// sum[row] = Σ_k a[a_row + row, k] · source[col + k], k < depth in its order; the rest as conv_tile().
template <int ROWS, class TapOf>
DEVICE void conv_direct(DirectTile<ROWS>& tile, scalar_t (&sum)[ROWS], const scalar_t* a, uint32 a_row,
                        uint32 a_stride, int rows, const scalar_t* source, int height, int width,
                        int depth, int middles, int lows, const Column& col, TapOf tap) {
#pragma unroll
    for (int row = 0; row < ROWS; ++row) sum[row] = 0;
    for (int first = 0; first < depth; first += kStaged) {
        const int count = min(kStaged, depth - first);
        if (first) __syncthreads();  // all are done with the taps before
        if (threadIdx.x < count)
            tile.taps[threadIdx.x] = tap(digits(first + threadIdx.x, middles, lows), first + threadIdx.x);
        __syncthreads();
        // A warp stages 8 taps of 4 rows at a time: neighbours in memory, in a bank each.
        const int mine = threadIdx.x / 32 * 8 + threadIdx.x % 8;
        const int offset = mine < count ? tile.taps[mine].a : 0;
#pragma unroll
        for (int row = threadIdx.x % 32 / 8; row < ROWS; row += 4)
            tile.weights[mine][row] = mine < count && row < rows ? a[(a_row + row) * a_stride + offset] : scalar_t(0);
        __syncthreads();
        for (int k = 0; k < count; ++k) {
            const Tap at = tile.taps[k];
            const scalar_t value = inside(at, col, height, width) ? source[col.offset + at.offset] : scalar_t(0);
#pragma unroll
            for (int row = 0; row < ROWS; ++row) sum[row] += value * tile.weights[k][row];
        }
    }
}

#endif  // GPUCNN_CONV_DIRECT_CUH
