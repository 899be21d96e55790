// batch_norm2d_forward: y = gamma[c] * (x - mean[c]) * inverse_std[c] + beta[c], with
// inverse_std = 1 / sqrt(var + eps) (Ioffe & Szegedy 2015, algorithm 1); then y += residual, if there is
// one, and y <= 0 ? 0 : y with relu.
// implements A24
//
// x, y      scalar_t (N, C, H, W), residual like them or null;  gamma, beta, mean, inverse_std, running_* scalar_t (C)
// means, squares  scalar_t (C, splits): a chunk's mean and sum of squares about it
// passes    in training: 1 batch_norm2d_forward_partial, which reads x once and passes twice over the values
//           it holds in registers, so nothing cancels; 2 batch_norm2d_forward_statistics, which merges the chunks (Chan, Golub &
//           LeVeque 1983) and moves the running statistics by `momentum`, the variance unbiased.
//           In evaluation: batch_norm2d_forward_running. Then 3 batch_norm2d_forward, elementwise
// launch    1: grid splits * C, block THREADS. 2: grid C, block a multiple of 32, from the shape alone.
//           running: a thread for each channel. 3: grid any, block any; vectors of 16 bytes where a
//           channel's run is made of whole ones
// macros    THREADS, VALUES: a chunk is THREADS * VALUES values
// race-free partial sums in fixed order, no atomics; each result is written by one thread
// cost      reads x once for the statistics, x and residual once more for y, writes y once
#include "batch_norm2d.cuh"

extern "C" __global__ void batch_norm2d_forward_partial(const scalar_t* __restrict__ x,
                                                        scalar_t* __restrict__ means,
                                                        scalar_t* __restrict__ squares, int channels,
                                                        int pixels, int values, int splits) {
    __shared__ scalar_t scratch[33];
    const int channel = blockIdx.x / splits, split = blockIdx.x % splits;
    const int count = chunk_size(split, values);
    Walk at = walk_from(uint32(split) * kChunk + threadIdx.x, channel, channels, pixels);
    scalar_t value[VALUES], sum = 0, square = 0;
#pragma unroll
    for (int k = 0; k < VALUES; ++k) {
        value[k] = int(threadIdx.x) + k * THREADS < count ? x[at.address] : scalar_t(0);
        sum += value[k];
        at = next(at, channels, pixels);
    }
    const scalar_t mean = block_total(sum, scratch) / count;
#pragma unroll
    for (int k = 0; k < VALUES; ++k) {
        const scalar_t distance = int(threadIdx.x) + k * THREADS < count ? value[k] - mean : scalar_t(0);
        square += distance * distance;
    }
    square = block_sum(square, scratch);
    if (threadIdx.x == 0) {
        means[blockIdx.x] = mean;
        squares[blockIdx.x] = square;
    }
}

extern "C" __global__ void batch_norm2d_forward_statistics(
    const scalar_t* __restrict__ means, const scalar_t* __restrict__ squares,
    scalar_t* __restrict__ running_mean, scalar_t* __restrict__ running_var, scalar_t* __restrict__ mean,
    scalar_t* __restrict__ inverse_std, int values, int splits, scalar_t momentum, scalar_t eps) {
    __shared__ scalar_t scratch[33];
    const int channel = blockIdx.x, first = channel * splits;
    scalar_t sum = 0, square = 0;
    for (int s = threadIdx.x; s < splits; s += blockDim.x) sum += means[first + s] * chunk_size(s, values);
    const scalar_t centre = block_total(sum, scratch) / values;
    for (int s = threadIdx.x; s < splits; s += blockDim.x) {
        const scalar_t distance = means[first + s] - centre;
        square += squares[first + s] + distance * distance * chunk_size(s, values);
    }
    square = block_sum(square, scratch);
    if (threadIdx.x != 0) return;
    mean[channel] = centre;
    inverse_std[channel] = scalar_t(1) / sqrt(square / values + eps);
    const scalar_t kept = scalar_t(1) - momentum;
    running_mean[channel] = kept * running_mean[channel] + momentum * centre;
    running_var[channel] = kept * running_var[channel] + momentum * (square / (values - 1));
}

extern "C" __global__ void batch_norm2d_forward_running(const scalar_t* __restrict__ running_mean,
                                                        const scalar_t* __restrict__ running_var,
                                                        scalar_t* __restrict__ mean,
                                                        scalar_t* __restrict__ inverse_std, int channels,
                                                        scalar_t eps) {
    const uint32 channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= uint32(channels)) return;
    mean[channel] = running_mean[channel];
    inverse_std[channel] = scalar_t(1) / sqrt(running_var[channel] + eps);
}

template <int N>
DEVICE void normalise(const scalar_t* x, const scalar_t* gamma, const scalar_t* beta, const scalar_t* mean,
                      const scalar_t* inverse_std, const scalar_t* residual, scalar_t* y, int channels,
                      int pixels, int relu, int count) {
    const uint32 packs = count / N, packs_of_run = pixels / N;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < packs; i += gridDim.x * blockDim.x) {
        const int c = i / packs_of_run % channels;
        const scalar_t centre = mean[c], scale = gamma[c] * inverse_std[c], shift = beta[c];
        Pack<N> pack = load_pack<N>(x + i * N);
#pragma unroll
        for (int k = 0; k < N; ++k) pack.v[k] = normalised(pack.v[k], centre, scale, shift);
        if (residual) {
            const Pack<N> other = load_pack<N>(residual + i * N);
#pragma unroll
            for (int k = 0; k < N; ++k) pack.v[k] += other.v[k];
        }
        if (relu) {
#pragma unroll
            for (int k = 0; k < N; ++k) pack.v[k] = pack.v[k] <= scalar_t(0) ? scalar_t(0) : pack.v[k];
        }
        store_pack(y + i * N, pack);
    }
}

extern "C" __global__ void batch_norm2d_forward(const scalar_t* __restrict__ x,
                                                const scalar_t* __restrict__ gamma,
                                                const scalar_t* __restrict__ beta,
                                                const scalar_t* __restrict__ mean,
                                                const scalar_t* __restrict__ inverse_std,
                                                const scalar_t* __restrict__ residual,
                                                scalar_t* __restrict__ y, int channels, int pixels,
                                                int relu, int count) {
    if (pixels % kVector == 0 && aligned(x) && aligned(residual) && aligned(y))
        normalise<kVector>(x, gamma, beta, mean, inverse_std, residual, y, channels, pixels, relu, count);
    else
        normalise<1>(x, gamma, beta, mean, inverse_std, residual, y, channels, pixels, relu, count);
}
