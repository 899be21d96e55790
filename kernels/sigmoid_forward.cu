// sigmoid_forward: y[i] = 1 / (1 + exp(-x[i])).
// implements A18
//
// x, y      scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      an exponential and a division an element; 2 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void sigmoid_forward(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                           int count) {
    // exp(-|x|) never overflows: 1 / (1 + e) for x >= 0, e / (1 + e) below.
    const auto sigmoid = [](scalar_t v) {
        const scalar_t power = exp(-fabs(v));
        return (v < scalar_t(0) ? power : scalar_t(1)) / (scalar_t(1) + power);
    };
    map_elements(count, y, sigmoid, x);
}
