// sigmoid_backward: dx[i] = dy[i] * y[i] * (1 - y[i]).
// implements A18
//
// dy, y, dx scalar_t (count), any shape, contiguous; y is the result of the forward
// mapping, launch and why it is race-free: elementwise.cuh
// cost      3 FLOPs and 3 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void sigmoid_backward(const scalar_t* __restrict__ dy,
                                            const scalar_t* __restrict__ y,
                                            scalar_t* __restrict__ dx, int count) {
    map_elements(
        count, dx, [](scalar_t d, scalar_t v) { return d * (v * (scalar_t(1) - v)); }, dy, y);
}
