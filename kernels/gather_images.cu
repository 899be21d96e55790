// gather_images: y[k] = images[indices[k]], divided by 255 where pixels are uint8.
//
// images    PIXEL (total, pixels), more than 2^31 of them if need be;  indices int (count)
// y         float (count, pixels); an index outside of the images makes its row NaN: the host cannot
//           look at it without waiting for the device, the check for finite values finds it
// macros    PIXEL: uint8 or float
// mapping   a grid-stride loop over groups of four pixels of an image, one load and one store each
//           where the arrays' places allow; else over the pixels
// launch    grid any, block any
// race-free each y is written by one thread
// cost      one division; sizeof(PIXEL) + 4 bytes a pixel
#include "vector.cuh"

#ifndef PIXEL
#define PIXEL uint8
#endif

template <int N>
struct alignas(N * sizeof(PIXEL)) Pixels {
    PIXEL v[N];
};

DEVICE float scaled(uint8 pixel) { return float(pixel) / 255.0f; }
DEVICE float scaled(float pixel) { return pixel; }

template <int N>
DEVICE void gather(const PIXEL* __restrict__ images, const int* __restrict__ indices,
                   float* __restrict__ y, int total, int count, int pixels) {
    const uint32 groups = pixels / N, all = count * groups, threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        const uint32 k = i / groups, at = i % groups * N;
        const int index = indices[k];
        Pack<N> out;
        if (index >= 0 && index < total) {
            const PIXEL* from = images + uint64(index) * pixels + at;
            const Pixels<N> in = *reinterpret_cast<const Pixels<N>*>(from);
#pragma unroll
            for (int v = 0; v < N; ++v) out.v[v] = scaled(in.v[v]);
        } else {
#pragma unroll
            for (int v = 0; v < N; ++v) out.v[v] = __int_as_float(0x7fffffff);
        }
        store_pack(y + k * pixels + at, out);
    }
}

extern "C" __global__ void gather_images(const PIXEL* __restrict__ images,
                                         const int* __restrict__ indices, float* __restrict__ y,
                                         int total, int count, int pixels) {
    if (pixels % 4 == 0 && reinterpret_cast<uint64>(images) % (4 * sizeof(PIXEL)) == 0 && aligned(y))
        gather<4>(images, indices, y, total, count, pixels);
    else
        gather<1>(images, indices, y, total, count, pixels);
}
