// block_sum: y[b] = the sum of block b's numbers: a shuffle tree in each warp, then over the warps.
#include "common.cuh"

template <class T>
static __device__ __forceinline__ T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

extern "C" __global__ void block_sum(const scalar_t* x, scalar_t* y) {
    __shared__ scalar_t scratch[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const scalar_t sum = warp_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
    if (lane == 0) scratch[warp] = sum;
    __syncthreads();
    const scalar_t total = warp_sum(lane < warps ? scratch[lane] : scalar_t(0));
    if (threadIdx.x == 0) y[blockIdx.x] = total;
}
