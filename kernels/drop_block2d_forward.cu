// drop_block2d_forward: squares of B x B cells go (S2; Ghiasi et al., DropBlock, 2018). A block's
// top-left corner is drawn at each place of a (H + B - 1, W + B - 1) grid, from which it covers a cell:
//   cell (h, w) is kept iff the draws of all corners (h + i, w + j), 0 <= i, j < B, are >= threshold;
//   mask = kept ? scale : 0, y = x * mask.
// Three launches: the corners' draws, the AND of B rows, and then that of B columns with the product:
// 2 * B reads a cell, where the square at once would take B * B.
// implements A23
//
// x, y, mask scalar_t (planes, H, W), planes = N * C
// corners   uint8 (planes, H + B - 1, W + B - 1), rows uint8 (planes, H, W + B - 1), both 0 or 1
// step_at   uint32 (), read instead of step, or null
// mapping   a grid-stride loop over groups of four corners (the four words of one Philox call), and
//           over the elements of rows and of y, neighbours on neighbours
// launch    grid any, block any
// race-free each element is written by one thread, and read by a later launch alone
// cost      2 * B bytes read from the cache, about 4 bytes and 3 * sizeof(scalar_t) from memory, a cell
#include "philox.cuh"

extern "C" __global__ void drop_block2d_forward_corners(uint8* corners, uint32 threshold, uint64 seed,
                                                        uint32 layer, uint32 step, const uint32* step_at,
                                                        int count) {
    const uint32 groups = (uint32(count) + 3) / 4, threads = gridDim.x * blockDim.x;
    for (uint32 g = blockIdx.x * blockDim.x + threadIdx.x; g < groups; g += threads) {
        const Words draws = philox(g, seed, layer, step_at ? *step_at : step);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (4 * g + i < uint32(count)) corners[4 * g + i] = draws.v[i] >= threshold;
    }
}

extern "C" __global__ void drop_block2d_forward_rows(const uint8* __restrict__ corners,
                                                     uint8* __restrict__ rows, int height, int pitch,
                                                     int block_size, int count) {
    const uint32 plane = uint32(height) * pitch, threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        // A plane of corners has block_size - 1 rows more than one of cells.
        const uint8* corner = corners + i + i / plane * ((block_size - 1) * pitch);
        uint8 kept = 1;
        for (int row = 0; row < block_size; ++row) kept &= corner[uint32(row) * pitch];
        rows[i] = kept;
    }
}

extern "C" __global__ void drop_block2d_forward(const scalar_t* __restrict__ x,
                                                const uint8* __restrict__ rows, scalar_t* __restrict__ y,
                                                scalar_t* __restrict__ mask, scalar_t scale, int width,
                                                int block_size, int count) {
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        const uint8* cell = rows + i + i / width * (block_size - 1);
        uint8 kept = 1;
        for (int column = 0; column < block_size; ++column) kept &= cell[column];
        mask[i] = kept ? scale : scalar_t(0);
        y[i] = x[i] * mask[i];
    }
}
