// null_pointer: y[i] = x[i] + b, where b may be null.
#include "common.cuh"

extern "C" __global__ void null_pointer(const scalar_t* x, const scalar_t* b, scalar_t* y) {
#if FIXED
    y[threadIdx.x] = x[threadIdx.x] + (b ? b[0] : scalar_t(0));
#else
    y[threadIdx.x] = x[threadIdx.x] + b[0];
#endif
}
