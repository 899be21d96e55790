// flip_images: y[n, c, i, j] = x[n, c, i, w - 1 - j] where chosen[n] is not 0, else x[n, c, i, j].
//
// x, y      scalar_t (N, C, H, W);  chosen uint8 (N)
// mapping, launch and why it is race-free: images.cuh
// cost      no FLOPs; 2 * sizeof(scalar_t) bytes a pixel
#include "images.cuh"

extern "C" __global__ void flip_images(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                       const uint8* __restrict__ chosen, int n, int c, int h, int w) {
    take_places(x, y, n, c, h, w,
                [&](int image, int i, int j) { return i * w + (chosen[image] ? w - 1 - j : j); });
}
