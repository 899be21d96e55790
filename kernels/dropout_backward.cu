// dropout_backward: dx[i] = dy[i] * mask[i / plane], for every kind of dropout.
// implements A23
//
// dy, dx    scalar_t (count), any shape, contiguous
// mask      scalar_t (count / plane): plane = 1 for a mask of elements, H * W for one of channels
// mapping   plane = 1: elementwise.cuh; else a grid-stride loop, neighbours on neighbours
// launch    grid any, block any
// race-free each dx[i] is written by one thread
// cost      one product; 3 * sizeof(scalar_t) bytes an element, 2 for channels
#include "elementwise.cuh"

extern "C" __global__ void dropout_backward(const scalar_t* __restrict__ dy,
                                            const scalar_t* __restrict__ mask, scalar_t* __restrict__ dx,
                                            int plane, int count) {
    if (plane == 1) {
        map_elements(count, dx, [](scalar_t d, scalar_t m) { return d * m; }, dy, mask);
        return;
    }
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads)
        dx[i] = dy[i] * mask[i / uint32(plane)];
}
