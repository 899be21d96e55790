// linear_forward: y[n, o] = sum_i x[n, i] * w[o, i] + b[o] (S0 section 6), then y <= 0 ? 0 : y with relu.
// implements A15 A16 S4:5
//
// x         scalar_t (N, in), w (out, in), b (out) or null, y (N, out)
// mapping, launch, macros, order of the sums and cost: gemm.cuh with m = N, n = out, k = in
// split     with more than one chunk linear_forward writes parts (chunks, N, out) without b and ReLU, and
//           linear_forward_reduce adds them: an output of a few tiles would leave most of a GPU idle
#include "gemm.cuh"

extern "C" __global__ void __launch_bounds__(256, kBlocks)
    linear_forward(const scalar_t* __restrict__ x, const scalar_t* __restrict__ w,
                   const scalar_t* __restrict__ b, scalar_t* __restrict__ y, GemmParams g, int relu) {
    __shared__ __align__(16) scalar_t shared[kGemmShared];
    gemm<true, true>(shared, x, w, b, {nullptr, nullptr, relu != 0}, y, g);
}

extern "C" __global__ void linear_forward_reduce(const scalar_t* __restrict__ parts,
                                                 const scalar_t* __restrict__ b,
                                                 scalar_t* __restrict__ y, int count, int n,
                                                 int chunks, int relu) {
    gemm_reduce(parts, b, {nullptr, nullptr, relu != 0}, y, count, n, chunks);
}
