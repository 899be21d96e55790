// batch_norm2d_backward: with x^ = (x - mean) * inverse_std and M = N*H*W,
//   dbeta[c] = sum dy    dgamma[c] = sum dy * x^
//   dx = gamma * inverse_std * (dy - dbeta / M - x^ * dgamma / M) in training,
//   dx = gamma * inverse_std * dy where the statistics were constants (Ioffe & Szegedy 2015, section 3).
// Behind ReLU dy counts as 0 where ReLU cut: where the forward's sum, formed once more, is <= 0 (beta is
// not null), or, if it had a residual, where its y is. Then delta, the residual's gradient, takes that dy,
// and the last pass reads it for dy.
// implements A24
//
// dy, x, dx scalar_t (N, C, H, W), y and delta like them or null;  beta scalar_t (C) or null;  gamma, mean, inverse_std, dgamma, dbeta scalar_t (C)
// deltas, products  scalar_t (C, splits): a chunk's sums of dy and of dy * (x - mean)
// shift, slope      scalar_t (C): dbeta / M and dgamma * inverse_std / M
// passes    1 batch_norm2d_backward_partial; 2 batch_norm2d_backward_reduce; 3 batch_norm2d_backward,
//           elementwise
// launch    1: grid splits * C, block THREADS. 2: grid C, block a multiple of 32, from the shape alone.
//           3: grid any, block any; vectors of 16 bytes where a channel's run is made of whole ones
// macros    THREADS, VALUES: a chunk is THREADS * VALUES values
// race-free partial sums in fixed order, no atomics; each result is written by one thread
// cost      reads dy and x twice, writes dx once; y is read and delta written once
#include "batch_norm2d.cuh"

extern "C" __global__ void batch_norm2d_backward_partial(const scalar_t* __restrict__ dy,
                                                         const scalar_t* __restrict__ x,
                                                         const scalar_t* __restrict__ mean,
                                                         const scalar_t* __restrict__ gamma,
                                                         const scalar_t* __restrict__ inverse_std,
                                                         const scalar_t* __restrict__ beta,
                                                         const scalar_t* __restrict__ y,
                                                         scalar_t* __restrict__ delta,
                                                         scalar_t* __restrict__ deltas,
                                                         scalar_t* __restrict__ products, int channels,
                                                         int pixels, int values, int splits) {
    __shared__ scalar_t scratch[32];
    const int channel = blockIdx.x / splits, split = blockIdx.x % splits;
    const int count = chunk_size(split, values);
    Walk at = walk_from(uint32(split) * kChunk + threadIdx.x, channel, channels, pixels);
    const scalar_t centre = mean[channel], scale = gamma[channel] * inverse_std[channel];
    scalar_t sum = 0, product = 0;
#pragma unroll
    for (int k = 0; k < VALUES; ++k) {
        if (int(threadIdx.x) + k * THREADS < count) {
            const scalar_t value = x[at.address];
            const bool cut = beta ? normalised(value, centre, scale, beta[channel]) <= scalar_t(0)
                                  : y && y[at.address] <= scalar_t(0);
            const scalar_t given = cut ? scalar_t(0) : dy[at.address];
            if (delta) delta[at.address] = given;
            sum += given;
            product += given * (value - centre);
        }
        at = next(at, channels, pixels);
    }
    sum = block_sum(sum, scratch);
    product = block_sum(product, scratch);
    if (threadIdx.x == 0) {
        deltas[blockIdx.x] = sum;
        products[blockIdx.x] = product;
    }
}

extern "C" __global__ void batch_norm2d_backward_reduce(const scalar_t* __restrict__ deltas,
                                                        const scalar_t* __restrict__ products,
                                                        const scalar_t* __restrict__ inverse_std,
                                                        scalar_t* __restrict__ dgamma,
                                                        scalar_t* __restrict__ dbeta,
                                                        scalar_t* __restrict__ shift,
                                                        scalar_t* __restrict__ slope, int values,
                                                        int splits) {
    __shared__ scalar_t scratch[32];
    const int channel = blockIdx.x, first = channel * splits;
    scalar_t sum = 0, product = 0;
    for (int s = threadIdx.x; s < splits; s += blockDim.x) {
        sum += deltas[first + s];
        product += products[first + s];
    }
    sum = block_sum(sum, scratch);
    product = block_sum(product, scratch) * inverse_std[channel];
    if (threadIdx.x != 0) return;
    dbeta[channel] = sum;
    dgamma[channel] = product;
    shift[channel] = sum / values;
    slope[channel] = product / values * inverse_std[channel];
}

template <int N>
DEVICE void differentiate(const scalar_t* dy, const scalar_t* x, const scalar_t* gamma,
                          const scalar_t* mean, const scalar_t* inverse_std, const scalar_t* beta,
                          const scalar_t* shift, const scalar_t* slope, scalar_t* dx, int channels,
                          int pixels, int train, int count) {
    const uint32 packs = count / N, packs_of_run = pixels / N;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < packs; i += gridDim.x * blockDim.x) {
        const int c = i / packs_of_run % channels;
        const scalar_t scale = gamma[c] * inverse_std[c];
        const scalar_t centre = mean[c];
        Pack<N> delta = load_pack<N>(dy + i * N), value = {};
        if (train || beta) value = load_pack<N>(x + i * N);
        if (beta) {
            const scalar_t add = beta[c];
#pragma unroll
            for (int k = 0; k < N; ++k)
                if (normalised(value.v[k], centre, scale, add) <= scalar_t(0)) delta.v[k] = 0;
        }
        if (train) {
            const scalar_t less = shift[c], steep = slope[c];
#pragma unroll
            for (int k = 0; k < N; ++k) delta.v[k] -= less + (value.v[k] - centre) * steep;
        }
#pragma unroll
        for (int k = 0; k < N; ++k) delta.v[k] *= scale;
        store_pack(dx + i * N, delta);
    }
}

extern "C" __global__ void batch_norm2d_backward(
    const scalar_t* __restrict__ dy, const scalar_t* __restrict__ x, const scalar_t* __restrict__ gamma,
    const scalar_t* __restrict__ mean, const scalar_t* __restrict__ inverse_std,
    const scalar_t* __restrict__ beta, const scalar_t* __restrict__ shift,
    const scalar_t* __restrict__ slope, scalar_t* __restrict__ dx, int channels, int pixels, int train,
    int count) {
    if (pixels % kVector == 0 && aligned(dy) && aligned(x) && aligned(dx))
        differentiate<kVector>(dy, x, gamma, mean, inverse_std, beta, shift, slope, dx, channels, pixels,
                               train, count);
    else
        differentiate<1>(dy, x, gamma, mean, inverse_std, beta, shift, slope, dx, channels, pixels, train,
                         count);
}
