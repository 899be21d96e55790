// max_abs: out[b] = max |a[i]| over block b's share of a; 0 where the share is empty, NaN if it has one.
// Two passes: over `a` by a number of blocks that depends on count alone, then one block over their
// results. The maximum does not depend on the order.
// implements A21
//
// a         scalar_t (count); out scalar_t (blocks of the grid)
// mapping   a grid-stride loop, neighbours on neighbours, then a tree over the block
// launch    grid (blocks), then (1); block THREADS
// macros    THREADS  threads of a block, a multiple of 32
// race-free out[b] is written by thread 0 of block b; scratch is written before a barrier, read after it
// cost      one comparison; sizeof(scalar_t) bytes an element
#include "common.cuh"

#ifndef THREADS
#define THREADS 256
#endif

// The larger one; NaN is larger than all.
DEVICE scalar_t larger(scalar_t a, scalar_t b) { return b > a || b != b ? b : a; }

DEVICE scalar_t warp_largest(scalar_t value) {
    for (int offset = 16; offset > 0; offset /= 2)
        value = larger(value, __shfl_down_sync(0xffffffffu, value, offset));
    return value;
}

extern "C" __global__ void max_abs(const scalar_t* __restrict__ a, scalar_t* __restrict__ out, int count) {
    __shared__ scalar_t scratch[THREADS / 32];
    const uint32 threads = gridDim.x * blockDim.x;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    scalar_t top = 0;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads)
        top = larger(top, fabs(a[i]));
    top = warp_largest(top);
    if (lane == 0) scratch[warp] = top;
    __syncthreads();
    if (warp == 0) {
        top = warp_largest(lane < THREADS / 32 ? scratch[lane] : scalar_t(0));
        if (lane == 0) out[blockIdx.x] = top;
    }
}
