// leaky_relu_backward: dx[i] = x[i] <= 0 ? negative_slope * dy[i] : dy[i].
//
// dy, x, dx scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      count products and comparisons; 3 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void leaky_relu_backward(const scalar_t* __restrict__ dy,
                                               const scalar_t* __restrict__ x,
                                               scalar_t* __restrict__ dx, int count,
                                               scalar_t negative_slope) {
    map_elements(
        count, dx,
        [=](scalar_t d, scalar_t v) { return v <= scalar_t(0) ? negative_slope * d : d; }, dy, x);
}
