// softmax_forward: y[r, j] = exp(x[r, j] - m) / sum_k exp(x[r, k] - m), m = max_k x[r, k]
// (S0 section 6).
// implements A19
//
// x, y      scalar_t (rows, columns): the last axis, and all others together
// mapping, launch and why it is race-free: rows.cuh
// cost      2 exponentials and a division an element; reads x three times, from the cache after the
//           first; 2 * sizeof(scalar_t) bytes an element
#include "rows.cuh"

extern "C" __global__ void softmax_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                           int rows, int columns) {
    __shared__ scalar_t scratch[32];
    const uint32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // a whole team: blocks of several rows have no barrier
    x += row * columns;
    y += row * columns;
    const RowPowers powers = row_powers(x, columns, scratch);
    for (uint32 j = threadIdx.x; j < uint32(columns); j += blockDim.x)
        y[j] = exp(x[j] - powers.top) / powers.total;
}
