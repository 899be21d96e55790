// relu_forward: y[i] = x[i] <= 0 ? 0 : x[i], so that NaN passes (S3 section 5).
//
// x, y      scalar_t (count), any shape, contiguous
// mapping   a grid-stride loop: thread t of T takes t, t + T, ...; neighbours on neighbours
// launch    grid any, block a multiple of 32
// race-free each y[i] is written by one thread
// cost      count comparisons; 2 * sizeof(scalar_t) bytes an element
#include "common.cuh"

extern "C" __global__ void relu_forward(const scalar_t* x, scalar_t* y, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        y[i] = x[i] <= scalar_t(0) ? scalar_t(0) : x[i];
}
