// transpose: y[j, i] = x[i, j] for 32 x 32 numbers, through shared memory.
//
// mapping   thread (j, i) copies row-wise in, then row-wise out; PITCH 33 keeps the column read of
//           the tile free of bank conflicts, PITCH 32 puts all its 32 lanes on one bank
// launch    grid 1, block (32, 32)
#include "common.cuh"

#ifndef PITCH
#define PITCH 32
#endif
#ifndef BARRIER
#define BARRIER 1
#endif

extern "C" __global__ void transpose(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t tile[32 * PITCH];
    tile[threadIdx.y * PITCH + threadIdx.x] = x[threadIdx.y * 32 + threadIdx.x];
#if BARRIER
    __syncthreads();
#endif
    y[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x * PITCH + threadIdx.y];
}
