// rotate_images: each image turned counter-clockwise about its centre by the angle whose cosine and
// sine are turns[n]; y[n, c, i, j] blends the four pixels of x around the place it came from,
//   (i', j') = (cos * v + sin * u, cos * u - sin * v), (v, u) being (i, j) seen from the centre,
// and pixels outside of x are 0.
//
// x, y      scalar_t (N, C, H, W);  turns double (N, 2); numbers beyond 1 make their image NaN
// mapping, launch and why it is race-free: images.cuh
// rounding  that of gpucnn.images: places in double, weights and blend in scalar_t, every product
//           rounded by itself and the four added in order; a compiler left alone would fuse products
//           with sums
// cost      about 12 FLOPs in double a place, 11 a pixel; 2 * sizeof(scalar_t) bytes a pixel, the
//           neighbours from the cache
#include "images.cuh"

DEVICE float product(float a, float b) { return __fmul_rn(a, b); }
DEVICE double product(double a, double b) { return __dmul_rn(a, b); }

// No farther outside than where all four pixels are.
DEVICE double near(double at, int size) { return at < -1 ? -1.0 : at > size ? double(size) : at; }

extern "C" __global__ void rotate_images(const scalar_t* __restrict__ x, scalar_t* __restrict__ y,
                                         const double* __restrict__ turns, int n, int c, int h, int w) {
    each_place(n, h, w, [&](int image, int i, int j) {
        const uint32 plane = h * w, first = uint32(image) * c * plane, to = i * w + j;
        const double cosine = turns[2 * image], sine = turns[2 * image + 1];
        if (!(fabs(cosine) <= 1 && fabs(sine) <= 1)) {
            for (int channel = 0; channel < c; ++channel)
                y[first + channel * plane + to] = __int_as_float(0x7fffffff);
            return;
        }
        const double middle_i = 0.5 * (h - 1), middle_j = 0.5 * (w - 1);
        const double v = i - middle_i, u = j - middle_j;
        const double from_i = near(product(cosine, v) + product(sine, u) + middle_i, h);
        const double from_j = near(product(cosine, u) - product(sine, v) + middle_j, w);
        const double top = floor(from_i), left = floor(from_j);
        const scalar_t down = scalar_t(from_i - top), right = scalar_t(from_j - left);
        const scalar_t up = 1 - down, aside = 1 - right;
        const scalar_t weights[4] = {product(up, aside), product(up, right), product(down, aside),
                                     product(down, right)};
        for (int channel = 0; channel < c; ++channel) {
            const uint32 base = first + channel * plane;
            scalar_t sum = -0.0;  // plus any number it is that number, -0 too
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const int row = int(top) + k / 2, column = int(left) + k % 2;
                const bool inside = row >= 0 && row < h && column >= 0 && column < w;
                const scalar_t pixel = inside ? x[base + row * w + column] : scalar_t(0);
                sum += product(pixel, weights[k]);
            }
            y[base + to] = sum;
        }
    });
}
