// What every kernel shares: the scalar type, the parameter structs (filled by gpucnn/ops/kernels on
// the host, passed by value), index arithmetic, and reductions of a warp and of a block.
//
// Compiles under NVRTC, nvcc and, with gpucnn/runtime/emulator_include, g++. No headers: NVRTC has
// neither <cuda.h> nor <cstdint>. Everything that has a GPU-only spelling has its one wrapper here.
#ifndef GPUCNN_COMMON_CUH
#define GPUCNN_COMMON_CUH

#ifndef SCALAR
#define SCALAR float
#endif
using scalar_t = SCALAR;
using uint8 = unsigned char;
using uint32 = unsigned int;
using uint64 = unsigned long long;

// The emulator's headers define both of these, as they do __global__ and __shared__.
#ifndef GPUCNN_EMULATOR
#define DYNAMIC_SHARED(type, name)                          \
    extern __shared__ __align__(16) unsigned char name##_bytes[]; \
    type* const name = reinterpret_cast<type*>(name##_bytes)
#define DEVICE static __device__ __forceinline__
#endif

struct Conv2dParams {
    int n, c, h, w;                     // input; c counts all groups
    int k, r, s;                        // filters (all groups) and kernel
    int p, q;                           // output
    int stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
    int groups;
};

struct Pool2dParams {
    int n, c, h, w;                     // input
    int p, q;                           // output
    int kernel_h, kernel_w, stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right, dilation_h, dilation_w;
};

DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Sum over the warp, complete in lane 0. All 32 lanes take part, in a fixed order.
template <class T>
DEVICE T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

// Sum over a block of whole warps, complete in thread 0. `scratch` holds one T a warp. Begins with a
// barrier, so scratch may be used again at once.
template <class T>
DEVICE T block_sum(T value, T* scratch) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = (blockDim.x + 31) / 32;
    value = warp_sum(value);
    __syncthreads();
    if (lane == 0) scratch[warp] = value;
    __syncthreads();
    value = threadIdx.x < warps ? scratch[threadIdx.x] : T(0);
    return warp == 0 ? warp_sum(value) : value;
}

#endif  // GPUCNN_COMMON_CUH
