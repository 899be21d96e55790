// normalize_images: y[n, c, i, j] = (x[n, c, i, j] - mean[c]) / deviation[c].
//
// x, y      scalar_t (N, C, H, W);  mean, deviation scalar_t (C)
// mapping, launch and why it is race-free: images.cuh
// cost      2 FLOPs and 2 * sizeof(scalar_t) bytes a pixel
#include "images.cuh"

extern "C" __global__ void normalize_images(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                            const scalar_t* __restrict__ mean,
                                            const scalar_t* __restrict__ deviation, int n, int c,
                                            int h, int w) {
    each_place(n, h, w, [&](int image, int i, int j) {
        for (int channel = 0; channel < c; ++channel) {
            const uint32 at = ((uint32(image) * c + channel) * h + i) * w + j;
            y[at] = (x[at] - mean[channel]) / deviation[channel];
        }
    });
}
