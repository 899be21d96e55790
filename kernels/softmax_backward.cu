// softmax_backward: dx[r, j] = y[r, j] * (dy[r, j] - sum_k dy[r, k] * y[r, k]).
// implements E14
//
// dy, y, dx scalar_t (rows, columns): the last axis, and all others together; y is the forward's result
// mapping, launch and why it is race-free: rows.cuh
// cost      4 FLOPs an element; reads dy and y twice, from the cache the second time;
//           3 * sizeof(scalar_t) bytes an element
#include "rows.cuh"

extern "C" __global__ void softmax_backward(const scalar_t* __restrict__ dy,
                                            const scalar_t* __restrict__ y,
                                            scalar_t* __restrict__ dx, int rows, int columns) {
    __shared__ scalar_t scratch[32];
    const uint32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // a whole team: blocks of several rows have no barrier
    dy += row * columns;
    y += row * columns;
    dx += row * columns;
    scalar_t product = 0;
    for (uint32 j = threadIdx.x; j < uint32(columns); j += blockDim.x) product += dy[j] * y[j];
    product = team_sum(product, scratch);
    for (uint32 j = threadIdx.x; j < uint32(columns); j += blockDim.x)
        dx[j] = y[j] * (dy[j] - product);
}
