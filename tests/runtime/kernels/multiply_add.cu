// multiply_add: y[i] = a[i] * b[i] + c[i], which a GPU rounds once and, in float32, flushes to zero
// where it is denormal.
#include "common.cuh"

extern "C" __global__ void multiply_add(const scalar_t* a, const scalar_t* b, const scalar_t* c,
                                        scalar_t* y) {
    y[threadIdx.x] = a[threadIdx.x] * b[threadIdx.x] + c[threadIdx.x];
}
