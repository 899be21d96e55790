// sgd_update: one step of SGD over all parameters at once (S0 section 6, S3).
//   g = grads + weight_decay * values;  velocity = momentum * velocity + g
//   step = nesterov ? g + momentum * velocity : velocity;  values -= lr * lr_scale * step
// implements A22
//
// values, grads, velocity, lr_scale  scalar_t (count); velocity null without momentum (step = g),
//           lr_scale null for 1
// rates     scalar_t (lr), read instead of the argument of this name, or null
// only_if   bool (): nothing is done where it is false; or null
// average   scalar_t (count): takes in the new values as ema_update does (average.cuh), with decay and rest,
//           or with what decays, scalar_t (decay, rest), holds if it is not null; null for none
// mapping   a grid-stride loop, neighbours on neighbours
// launch    grid any, block any
// race-free each element is read and written by one thread
// cost      at most 8 FLOPs; 3 to 6 * sizeof(scalar_t) bytes an element, 3 FLOPs and 2 more with an average
#include "average.cuh"

extern "C" __global__ void sgd_update(scalar_t* __restrict__ values, const scalar_t* __restrict__ grads,
                                      scalar_t* __restrict__ velocity, const scalar_t* __restrict__ lr_scale,
                                      const scalar_t* __restrict__ rates, const bool* __restrict__ only_if,
                                      scalar_t* __restrict__ average, const scalar_t* __restrict__ decays,
                                      scalar_t decay, scalar_t rest, scalar_t lr, scalar_t momentum,
                                      int nesterov, scalar_t weight_decay, int count) {
    if (only_if && !*only_if) return;
    if (rates) lr = rates[0];
    const Decay d = decay_of(decays, decay, rest);
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        const scalar_t value = values[i];
        // A decay of 0 is left out, not multiplied: 0 * inf is NaN.
        scalar_t step = weight_decay != scalar_t(0) ? grads[i] + weight_decay * value : grads[i];
        if (velocity) {
            const scalar_t speed = momentum * velocity[i] + step;
            velocity[i] = speed;
            step = nesterov ? step + momentum * speed : speed;
        }
        const scalar_t moved = value - (lr_scale ? lr * lr_scale[i] : lr) * step;
        values[i] = moved;
        if (average) take_in(average, i, moved, d.decay, d.rest);
    }
}
