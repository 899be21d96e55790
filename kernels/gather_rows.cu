// gather_rows: y[k] = a[indices[k]], for labels and targets.
//
// a         uint32 (total, words), the words of any numbers;  y uint32 (count, words)
// indices   int (count); one outside of a makes its row all ones, which is -1 as an int and NaN as a
//           float: the host cannot look at it without waiting for the device
// mapping   a grid-stride loop over the words of y
// launch    grid any, block any
// race-free each word is written by one thread
// cost      no FLOPs; 8 bytes a word
#include "common.cuh"

extern "C" __global__ void gather_rows(const uint32* __restrict__ a, const int* __restrict__ indices,
                                       uint32* __restrict__ y, int total, int count, int words) {
    const uint32 all = uint32(count) * words, threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        const int index = indices[i / words];
        y[i] = index >= 0 && index < total ? a[uint64(index) * words + i % words] : 0xffffffffu;
    }
}
