// dropout2d_forward: mask[n, c] = draw(n * C + c) < threshold ? 0 : scale, for whole channels (S2).
// The product y = x * mask over the channels' planes is the kernel of dropout_backward.
// implements A23
//
// mask      scalar_t (N, C, 1, 1), count = N * C
// step_at   uint32 (), read instead of step, or null
// mapping   a grid-stride loop over groups of four channels: the four words of one Philox call
// launch    grid any, block any
// race-free each channel is written by the one thread of its group
// cost      ten rounds of two 32-bit products a group; sizeof(scalar_t) bytes a channel
#include "philox.cuh"

extern "C" __global__ void dropout2d_forward(scalar_t* mask, uint32 threshold, scalar_t scale, uint64 seed,
                                             uint32 layer, uint32 step, const uint32* step_at, int count) {
    const uint32 groups = (uint32(count) + 3) / 4, threads = gridDim.x * blockDim.x;
    for (uint32 g = blockIdx.x * blockDim.x + threadIdx.x; g < groups; g += threads) {
        const Words draws = philox(g, seed, layer, step_at ? *step_at : step);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (4 * g + i < uint32(count)) mask[4 * g + i] = draws.v[i] < threshold ? scalar_t(0) : scale;
    }
}
