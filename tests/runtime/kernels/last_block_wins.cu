// last_block_wins: y[0] = b from every block b: a race between blocks, whatever their number.
#include "common.cuh"

extern "C" __global__ void last_block_wins(const scalar_t* x, scalar_t* y) { y[0] = x[blockIdx.x]; }
