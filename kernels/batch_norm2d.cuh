// What the two passes of batch normalisation share: a channel's values cut into chunks for their sums,
// and the formula.
//
// A channel has `values` = N * H * W values, in N runs of `pixels` = H * W. Chunk s holds the values
// kChunk * s on, a block each; thread t takes those at t, t + THREADS, ... So the order of every sum
// depends on the shape alone.
#ifndef GPUCNN_BATCH_NORM2D_CUH
#define GPUCNN_BATCH_NORM2D_CUH
#include "vector.cuh"

#ifndef THREADS
#define THREADS 256
#endif
#ifndef VALUES
#define VALUES 16
#endif
constexpr int kChunk = THREADS * VALUES;

// Values in chunk `split`.
DEVICE int chunk_size(int split, int values) { return min(kChunk, values - split * kChunk); }

// The walk of a thread through a channel of an (N, C, pixels) array, THREADS values a step: the
// `address` in the array and the `pixel` in the run, with one division in all.
struct Walk {
    uint32 address;
    int pixel;
};

DEVICE Walk walk_from(uint32 value, int channel, int channels, int pixels) {
    const uint32 image = value / pixels;
    return {(image * channels + channel) * pixels + value % pixels, int(value % pixels)};
}

DEVICE Walk next(Walk at, int channels, int pixels) {
    at.pixel += THREADS % pixels;
    at.address += THREADS / pixels * channels * pixels + THREADS % pixels;
    if (at.pixel >= pixels) {
        at.pixel -= pixels;
        at.address += (channels - 1) * pixels;
    }
    return at;
}

// y for x = value. Both passes form it, and to the same bits: by one fma.
DEVICE scalar_t normalised(scalar_t value, scalar_t mean, scalar_t scale, scalar_t beta) {
    return fma(value - mean, scale, beta);
}

// Sum over the block, known to all its threads. `scratch` holds 33 scalars.
DEVICE scalar_t block_total(scalar_t value, scalar_t* scratch) {
    value = block_sum(value, scratch);
    if (threadIdx.x == 0) scratch[32] = value;
    __syncthreads();
    return scratch[32];
}

#endif  // GPUCNN_BATCH_NORM2D_CUH
