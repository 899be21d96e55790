// write_outside: y[i] = x[i] for n numbers with more threads than numbers.
#include "common.cuh"

extern "C" __global__ void write_outside(const scalar_t* x, scalar_t* y, int n) {
    const int i = threadIdx.x;
#if FIXED
    if (i < n) y[i] = x[i];
#else
    if (i <= n) y[i] = x[i < n ? i : 0];
#endif
}
