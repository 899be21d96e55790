// relu_forward: y[i] = x[i] <= 0 ? 0 : x[i], so that NaN passes (S3 section 5).
// implements A17 S3:5.1
//
// x, y      scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      count comparisons; 2 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void relu_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                        int count) {
    map_elements(
        count, y, [](scalar_t v) { return v <= scalar_t(0) ? scalar_t(0) : v; }, x);
}
