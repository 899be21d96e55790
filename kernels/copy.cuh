// Copies a (rows, width) block between two matrices, shared by concat and split: an array joined along
// an axis is a matrix of one row for each place before the axis, and its parts are column ranges.
//
// mapping   a grid-stride loop over the block's vectors of 16 bytes, row by row, where both sides and
//           their rows begin on such boundaries; else over its elements
// launch    grid any, block any
// race-free each element is written by one thread
#ifndef GPUCNN_COPY_CUH
#define GPUCNN_COPY_CUH
#include "vector.cuh"

template <int N>
DEVICE void copy_packs(const scalar_t* from, uint32 from_pitch, scalar_t* to, uint32 to_pitch,
                       uint32 rows, uint32 width) {
    const uint32 packs = width / N, count = rows * packs, threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += threads) {
        const uint32 row = i / packs, column = i % packs * N;
        store_pack(to + row * to_pitch + column, load_pack<N>(from + row * from_pitch + column));
    }
}

// One of the pitches is the width: that of the part.
DEVICE void copy_rows(const scalar_t* from, int from_pitch, scalar_t* to, int to_pitch, int rows,
                      int width) {
    const bool whole = from_pitch % kVector == 0 && to_pitch % kVector == 0;
    if (whole && aligned(from) && aligned(to))
        copy_packs<kVector>(from, from_pitch, to, to_pitch, rows, width);
    else
        copy_packs<1>(from, from_pitch, to, to_pitch, rows, width);
}

#endif  // GPUCNN_COPY_CUH
