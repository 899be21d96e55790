// add: y[i] = a[i] + b[i], then y <= 0 ? 0 : y with relu.
//
// a, b, y   scalar_t (count), any shape, contiguous
// mapping, launch and why it is race-free: elementwise.cuh
// cost      1 FLOP (2 with relu) and 3 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"

extern "C" __global__ void add(const scalar_t* __restrict__ a, const scalar_t* __restrict__ b,
                               scalar_t* __restrict__ y, int count, int relu) {
    map_elements(
        count, y,
        [relu](scalar_t u, scalar_t v) {
            const scalar_t sum = u + v;
            return relu && sum <= scalar_t(0) ? scalar_t(0) : sum;
        },
        a, b);
}
