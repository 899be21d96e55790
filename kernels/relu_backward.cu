// relu_backward: dx[i] = x[i] <= 0 ? 0 : dy[i] (S3 section 5); chosen, not multiplied: 0 * inf is NaN.
// implements A17 S3:5.2 S3:5.3
//
// dy, x, dx scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      count comparisons; 3 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void relu_backward(const scalar_t* __restrict__ dy,
                                         const scalar_t* __restrict__ x,
                                         scalar_t* __restrict__ dx, int count) {
    map_elements(
        count, dx, [](scalar_t d, scalar_t v) { return v <= scalar_t(0) ? scalar_t(0) : d; }, dy, x);
}
