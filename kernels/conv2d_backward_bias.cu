// conv2d_backward_bias: db[k] = Σ_{n,p,q} dy[n,k,p,q] (S4 eq. 19, S2 BP3), in two passes of fixed order.
// implements A8 S0:5 S2:BP3 S4:19
//
// dy (N,K,pixels = P·Q)  db (K)  parts (slices,K); db itself for one slice
// conv2d_backward_bias         a block sums filter k over `slice` of the N·pixels deltas: thread t takes
//                              t, t + T, …, then the threads' sums are added as a tree.
//                              grid slices · K, k fastest; block 256
// conv2d_backward_bias_reduce  db[k] = Σ_slice parts[slice,k], a thread a filter, grid-stride loop
// macros    SCALAR
// race-free each part and each db is written once, by one thread; slices depend on the shape alone
// cost      N·K·P·Q additions; dy read once
#include "common.cuh"

#define THREADS 256

extern "C" __global__ void __launch_bounds__(THREADS)
conv2d_backward_bias(const scalar_t* __restrict__ dy, scalar_t* __restrict__ parts, int n, int k,
                     int pixels, int slice) {
    __shared__ scalar_t scratch[THREADS / 32];
    const int filter = blockIdx.x % k;
    const uint32 part = blockIdx.x / k, first = part * slice;
    const uint32 last = min(first + slice, uint32(n) * pixels);
    // A step of T deltas is so many images and so many pixels: no division in the loop.
    const uint32 images = THREADS / pixels, rest = THREADS % pixels;
    uint32 image = (first + threadIdx.x) / pixels, pixel = (first + threadIdx.x) % pixels;
    scalar_t sum = 0;
    for (uint32 i = first + threadIdx.x; i < last; i += THREADS) {
        sum += dy[(image * k + filter) * pixels + pixel];
        image += images;
        pixel += rest;
        if (pixel >= uint32(pixels)) {
            pixel -= pixels;
            ++image;
        }
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv2d_backward_bias_reduce(const scalar_t* __restrict__ parts, scalar_t* __restrict__ db, int k, int slices) {
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(k); i += gridDim.x * blockDim.x) {
        scalar_t sum = 0;
        for (int slice = 0; slice < slices; ++slice) sum += parts[uint32(slice) * k + i];
        db[i] = sum;
    }
}
