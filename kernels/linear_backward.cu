// linear_backward: the three gradients of y[n, o] = sum_i x[n, i] * w[o, i] + b[o]
// (S0 section 6, S2 BP2-BP4). Behind a ReLU that made x (relu_y), dx is 0 where x <= 0.
//   linear_backward_input    dx[n, i] = sum_o dy[n, o] * w[o, i]    gemm.cuh: m = N,   n = in, k = out
//   linear_backward_weight   dw[o, i] = sum_n dy[n, o] * x[n, i]    gemm.cuh: m = out, n = in, k = N
//   linear_backward_bias     db[o] = sum_n dy[n, o]
// implements A16 S0:1 S2:BP2 S2:BP3 S2:BP4
//
// dy        scalar_t (N, out), x (N, in), w (out, in); dx, dw, db like x, w and a row of dy;
//           relu_y (N, in) or null
// split     with more than one chunk the products write parts (chunks, m, n), and
//           linear_backward_reduce adds them in order; so do the parts (chunks, out) of the bias
// bias      a block of 32 x 8 threads adds `chunk` rows of 32 columns: thread (c, l) takes the rows l,
//           l + 8, ... of column c, then the eight lanes are added in order.
//           launch grid (ceil(out / 32), 1, chunks), block (32, 8)
// race-free each element of dx, dw, db and of the parts is written by one thread
// cost      4 N in out FLOPs for dx and dw, N out for db; db reads dy once
#include "gemm.cuh"

extern "C" __global__ void __launch_bounds__(256, kBlocks)
    linear_backward_input(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ w,
                          const scalar_t* __restrict__ relu_y, scalar_t* __restrict__ dx, GemmParams g) {
    __shared__ __align__(16) scalar_t shared[kGemmShared];
    gemm<true, false>(shared, dy, w, nullptr, {nullptr, relu_y, false}, dx, g);
}

extern "C" __global__ void __launch_bounds__(256, kBlocks)
    linear_backward_weight(const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x,
                           scalar_t* __restrict__ dw, GemmParams g) {
    __shared__ __align__(16) scalar_t shared[kGemmShared];
    gemm<false, false>(shared, dy, x, nullptr, {}, dw, g);
}

extern "C" __global__ void linear_backward_bias(const scalar_t* __restrict__ dy,
                                                scalar_t* __restrict__ db, int rows, int columns,
                                                int chunk) {
    __shared__ scalar_t lanes[8][32];
    const uint32 column = blockIdx.x * 32 + threadIdx.x;
    const uint32 first = blockIdx.z * chunk, last = min(uint32(rows), first + chunk);
    scalar_t sum = 0;
    if (column < columns)
        for (uint32 row = first + threadIdx.y; row < last; row += 8) sum += dy[row * columns + column];
    lanes[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || column >= columns) return;
    for (int lane = 1; lane < 8; ++lane) sum += lanes[lane][threadIdx.x];
    db[blockIdx.z * columns + column] = sum;
}

extern "C" __global__ void linear_backward_reduce(const scalar_t* __restrict__ parts,
                                                  const scalar_t* __restrict__ relu_y,
                                                  scalar_t* __restrict__ y, int count, int chunks) {
    gemm_reduce(parts, nullptr, {nullptr, relu_y, false}, y, count, 1, chunks);
}
