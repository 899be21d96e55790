// mean_squared_error: dy[i] = share * (y[i] - target[i]), loss = share * sum_i (y[i] - target[i])^2 / 2
// (S3); share = 1 / N under "mean", else 1.
// implements A20 C4
//
// y, target scalar_t (count), contiguous; dy likewise; parts scalar_t (blocks), a workspace
// mapping   elementwise.cuh; each block adds its squares to one part, in a fixed order
// launch    grid as many blocks as the count gives, of 256; mean_squared_error_reduce: one block of 256
// race-free each dy[i] is written by one thread, each part by one block
// cost      4 FLOPs and 3 * sizeof(scalar_t) bytes an element
#include "elementwise.cuh"
#include "loss.cuh"

extern "C" __global__ void mean_squared_error(const scalar_t* __restrict__ y,
                                              const scalar_t* __restrict__ target,
                                              scalar_t* __restrict__ dy,
                                              scalar_t* __restrict__ parts, int count,
                                              scalar_t share) {
    __shared__ scalar_t scratch[32];
    scalar_t squares = 0;
    const auto difference = [&squares, share](scalar_t value, scalar_t wanted) {
        const scalar_t distance = value - wanted;
        squares += distance * distance;
        return share * distance;
    };
    map_elements(count, dy, difference, y, target);
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) parts[blockIdx.x] = squares;
}

extern "C" __global__ void mean_squared_error_reduce(const scalar_t* __restrict__ parts,
                                                     scalar_t* __restrict__ loss, int count,
                                                     scalar_t scale) {
    __shared__ scalar_t scratch[32];
    add_parts(parts, count, scale, loss, scratch);
}
