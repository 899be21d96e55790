// Rows of a matrix, each the work of a team of threads: softmax and its loss.
//
// mapping   a block is (team, rows a block) threads: a team is one warp, or the whole of a block with
//           one row. Lane l of a team takes the columns l, l + team, ... The row's length alone
//           decides which it is, and with it the order of sums
// launch    grid ceil(rows / rows a block), block (32, 8) or (256, 1)
// race-free the elements of a row are written by the lanes that hold them
#ifndef GPUCNN_ROWS_CUH
#define GPUCNN_ROWS_CUH
#include "common.cuh"

// f over the team's values, in every lane, in a fixed order. `scratch` holds one value a warp.
template <class F>
DEVICE scalar_t team_reduce(scalar_t value, scalar_t* scratch, F f) {
    for (int offset = 16; offset > 0; offset /= 2)
        value = f(value, __shfl_xor_sync(0xffffffffu, value, offset));
    if (blockDim.x == 32) return value;
    __syncthreads();  // what scratch held before has been read
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    value = scratch[0];
    for (int warp = 1; warp < blockDim.x / 32; ++warp) value = f(value, scratch[warp]);
    return value;
}

DEVICE scalar_t team_sum(scalar_t value, scalar_t* scratch) {
    return team_reduce(value, scratch, [](scalar_t a, scalar_t b) { return a + b; });
}

struct RowPowers {
    scalar_t top;    // the row's maximum
    scalar_t total;  // sum of exp(x - top)
};

// A NaN need not win the maximum: its own power makes the total NaN.
DEVICE RowPowers row_powers(const scalar_t* row, int columns, scalar_t* scratch) {
    const auto larger = [](scalar_t a, scalar_t b) { return b > a ? b : a; };
    scalar_t top = row[0], total = 0;
    for (uint32 j = threadIdx.x; j < uint32(columns); j += blockDim.x) top = larger(top, row[j]);
    top = team_reduce(top, scratch, larger);
    for (uint32 j = threadIdx.x; j < uint32(columns); j += blockDim.x) total += exp(row[j] - top);
    return {top, team_sum(total, scratch)};
}

#endif  // GPUCNN_ROWS_CUH
