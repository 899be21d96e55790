// shift_images: y[n, c, i, j] = x[n, c, i + offsets[n, 0], j + offsets[n, 1]], 0 from outside of x.
//
// x, y      scalar_t (N, C, H, W);  offsets int (N, 2), any numbers
// mapping, launch and why it is race-free: images.cuh
// cost      no FLOPs; 2 * sizeof(scalar_t) bytes a pixel
#include "images.cuh"

extern "C" __global__ void shift_images(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                        const int* __restrict__ offsets, int n, int c, int h, int w) {
    take_places(x, y, n, c, h, w, [&](int image, int i, int j) {
        // Unsigned: a sum below 0 is beyond every size, and none is so large that it comes round.
        const uint32 row = i + uint32(offsets[2 * image]), column = j + uint32(offsets[2 * image + 1]);
        return row < uint32(h) && column < uint32(w) ? int(row * w + column) : kBlack;
    });
}
