// misaligned: 16 bytes at a time, from an address that is no multiple of 16.
#include "common.cuh"

extern "C" __global__ void misaligned(const float* x, float* y) {
#if FIXED
    const int first = 4 * threadIdx.x;
#else
    const int first = 4 * threadIdx.x + 1;
#endif
    const float4 v = *reinterpret_cast<const float4*>(x + first);
    y[threadIdx.x] = v.x + v.y + v.z + v.w;
}
