// dropout_forward: mask[i] = draw(i) < threshold ? 0 : scale, y[i] = x[i] * mask[i], with
// threshold = floor(rate * 2^32) and scale = 1 / (1 - rate) (S2).
// implements A23
//
// x, y, mask scalar_t (count), any shape, contiguous
// step_at   uint32 (), read instead of step, or null
// mapping   a grid-stride loop over groups of four elements: the four words of one Philox call
// launch    grid any, block any
// race-free each element is written by the one thread of its group
// cost      ten rounds of two 32-bit products a group; 3 * sizeof(scalar_t) bytes an element
#include "philox.cuh"

extern "C" __global__ void dropout_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                           scalar_t* __restrict__ mask, uint32 threshold, scalar_t scale,
                                           uint64 seed, uint32 layer, uint32 step,
                                           const uint32* __restrict__ step_at, int count) {
    const bool vectors = aligned(x) && aligned(y) && aligned(mask);
    const uint32 groups = (uint32(count) + 3) / 4, threads = gridDim.x * blockDim.x;
    for (uint32 g = blockIdx.x * blockDim.x + threadIdx.x; g < groups; g += threads) {
        const Words draws = philox(g, seed, layer, step_at ? *step_at : step);
        scalar_t kept[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) kept[i] = draws.v[i] < threshold ? scalar_t(0) : scale;
        if (vectors && 4 * g + 3 < uint32(count)) {
#pragma unroll
            for (int part = 0; part < 4; part += kVector) {
                Pack<kVector> m, value = load_pack<kVector>(x + 4 * g + part);
#pragma unroll
                for (int i = 0; i < kVector; ++i) {
                    m.v[i] = kept[part + i];
                    value.v[i] *= m.v[i];
                }
                store_pack(mask + 4 * g + part, m);
                store_pack(y + 4 * g + part, value);
            }
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const uint32 at = 4 * g + i;
                if (at >= uint32(count)) break;
                mask[at] = kept[i];
                y[at] = x[at] * kept[i];
            }
        }
    }
}
