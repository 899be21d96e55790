// The second pass of a loss: its parts, added by one block in a fixed order.
#ifndef GPUCNN_LOSS_CUH
#define GPUCNN_LOSS_CUH
#include "common.cuh"

// loss = scale * sum_i parts[i], 0 where there are none. `scratch` holds one value a warp.
DEVICE void add_parts(const scalar_t* parts, int count, scalar_t scale, scalar_t* loss,
                      scalar_t* scratch) {
    scalar_t sum = 0;
    for (uint32 i = threadIdx.x; i < uint32(count); i += blockDim.x) sum += parts[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) *loss = scale * sum;
}

#endif  // GPUCNN_LOSS_CUH
