// all_finite: whether no a[i] is NaN or Inf. Two passes: all_finite_partial over `a` by a number of
// blocks that depends on count alone, all_finite in one block over their answers.
//
// a         scalar_t (count); partial bool (blocks of the first grid); finite bool ()
// also      scalar_t (), one number more, or null
// before    bool (), an earlier answer that stays where it is false, or null
// mapping   a grid-stride loop, neighbours on neighbours, then a vote of the block
// launch    all_finite_partial grid (blocks), all_finite grid (1); block any
// race-free thread 0 of a block writes its answer; nothing else is written
// cost      one subtraction; sizeof(scalar_t) bytes an element
#include "common.cuh"

extern "C" __global__ void all_finite_partial(const scalar_t* __restrict__ a, bool* __restrict__ partial,
                                              int count) {
    const uint32 threads = gridDim.x * blockDim.x;
    bool finite = true;
    // Inf - Inf and NaN - NaN are NaN.
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads)
        finite = finite && a[i] - a[i] == scalar_t(0);
    finite = __syncthreads_and(finite);
    if (threadIdx.x == 0) partial[blockIdx.x] = finite;
}

extern "C" __global__ void all_finite(const bool* __restrict__ partial, bool* __restrict__ finite,
                                      const scalar_t* __restrict__ also, const bool* __restrict__ before,
                                      int blocks) {
    bool all = (!also || *also - *also == scalar_t(0)) && (!before || *before);
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) all = all && partial[i];
    all = __syncthreads_and(all);
    if (threadIdx.x == 0) *finite = all;
}
