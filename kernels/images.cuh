// Loops over the places of images (N, C, H, W), for the kernels that change a batch's images.
//
// mapping   a grid-stride loop over the places (n, i, j), neighbours of a row on neighbours; a thread
//           goes through the channels of its place, so that where it looks is found once
// launch    grid any, block any
// race-free each pixel of y is written by the one thread of its place
#ifndef GPUCNN_IMAGES_CUH
#define GPUCNN_IMAGES_CUH
#include "common.cuh"

// f(n, i, j) for each place.
template <class F>
DEVICE void each_place(int n, int h, int w, F f) {
    const uint32 plane = h * w, count = n * plane, threads = gridDim.x * blockDim.x;
    for (uint32 at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += threads) {
        const uint32 place = at % plane;
        f(int(at / plane), int(place / w), int(place % w));
    }
}

constexpr int kBlack = -1;

// y[n, c, place] = x[n, c, from(n, i, j)], from being a place i * w + j, or 0 where it is kBlack.
template <class F>
DEVICE void take_places(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, int n, int c, int h,
                        int w, F from) {
    each_place(n, h, w, [&](int image, int i, int j) {
        const int source = from(image, i, j);
        const uint32 plane = h * w, first = uint32(image) * c * plane;
        for (int channel = 0; channel < c; ++channel) {
            const uint32 base = first + channel * plane;
            y[base + i * w + j] = source == kBlack ? scalar_t(0) : x[base + source];
        }
    });
}

#endif  // GPUCNN_IMAGES_CUH
