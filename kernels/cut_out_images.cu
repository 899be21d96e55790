// cut_out_images: y = x, but 0 in a square of size x size pixels, cut at the border (DeVries and
// Taylor, "Improved Regularization of CNNs with Cutout", 2017).
//
// x, y      scalar_t (N, C, H, W);  corners int (N, 2): row and column of the square's top left pixel,
//           any numbers
// mapping, launch and why it is race-free: images.cuh
// cost      no FLOPs; 2 * sizeof(scalar_t) bytes a pixel
#include "images.cuh"

extern "C" __global__ void cut_out_images(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                          const int* __restrict__ corners, int size, int n, int c,
                                          int h, int w) {
    take_places(x, y, n, c, h, w, [&](int image, int i, int j) {
        // Unsigned: a difference below 0 is beyond every size, and none is so large that it comes round.
        const uint32 down = i - uint32(corners[2 * image]), right = j - uint32(corners[2 * image + 1]);
        return down < uint32(size) && right < uint32(size) ? kBlack : i * w + j;
    });
}
