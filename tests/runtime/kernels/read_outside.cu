// read_outside: y[i] = x[i] + x[i + 1]; the last thread has no right neighbour.
#include "common.cuh"

extern "C" __global__ void read_outside(const scalar_t* x, scalar_t* y, int n) {
    const int i = threadIdx.x;
#if FIXED
    y[i] = x[i] + (i + 1 < n ? x[i + 1] : scalar_t(0));
#else
    y[i] = x[i] + x[i + 1];
#endif
}
