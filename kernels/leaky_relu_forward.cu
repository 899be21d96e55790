// leaky_relu_forward: y[i] = x[i] <= 0 ? negative_slope * x[i] : x[i].
//
// x, y      scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      count products and comparisons; 2 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void leaky_relu_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                              int count, scalar_t negative_slope) {
    map_elements(
        count, y, [=](scalar_t v) { return v <= scalar_t(0) ? negative_slope * v : v; }, x);
}
