// adam_update: one step of Adam (Kingma & Ba, 2015), or AdamW, over all parameters at once.
//   first = beta1 * first + (1 - beta1) * g;  second = beta2 * second + (1 - beta2) * g * g
//   values -= rate * first / (sqrt(second / correction2) + eps), rate = lr / (1 - beta1^t) * lr_scale
// with correction2 = 1 - beta2^t. Weight decay: g = grads + weight_decay * values, or with `decoupled`
// first values -= lr * lr_scale * weight_decay * values.
//
// values, grads, first, second, lr_scale  scalar_t (count); lr_scale null for 1
// rates     scalar_t (lr, corrected_lr, correction2), read instead of the arguments of these names, or null
// only_if   bool (): nothing is done where it is false; or null
// corrected_lr = lr / (1 - beta1^t), rest1 = 1 - beta1, rest2 = 1 - beta2: formed on the host in float64
// average   scalar_t (count): takes in the new values as ema_update does (average.cuh), with decay and rest,
//           or with what decays, scalar_t (decay, rest), holds if it is not null; null for none
// mapping   a grid-stride loop, neighbours on neighbours
// launch    grid any, block any
// race-free each element is read and written by one thread
// cost      about 15 FLOPs; 7 or 8 * sizeof(scalar_t) bytes an element, 3 FLOPs and 2 more with an average
#include "average.cuh"

extern "C" __global__ void adam_update(scalar_t* __restrict__ values, const scalar_t* __restrict__ grads,
                                       scalar_t* __restrict__ first, scalar_t* __restrict__ second,
                                       const scalar_t* __restrict__ lr_scale,
                                       const scalar_t* __restrict__ rates, const bool* __restrict__ only_if,
                                       scalar_t* __restrict__ average, const scalar_t* __restrict__ decays,
                                       scalar_t decay, scalar_t rest, scalar_t lr, scalar_t corrected_lr,
                                       scalar_t correction2,
                                       scalar_t beta1, scalar_t rest1, scalar_t beta2, scalar_t rest2,
                                       scalar_t eps, scalar_t weight_decay, int decoupled, int count) {
    if (only_if && !*only_if) return;
    if (rates) {
        lr = rates[0];
        corrected_lr = rates[1];
        correction2 = rates[2];
    }
    const Decay d = decay_of(decays, decay, rest);
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        scalar_t value = values[i], grad = grads[i];
        const scalar_t scale = lr_scale ? lr_scale[i] : scalar_t(1);
        // A decay of 0 is left out, not multiplied: 0 * inf is NaN.
        if (weight_decay != scalar_t(0)) {
            if (decoupled)
                value -= lr * scale * (weight_decay * value);
            else
                grad += weight_decay * value;
        }
        const scalar_t m = beta1 * first[i] + rest1 * grad;
        const scalar_t s = beta2 * second[i] + rest2 * grad * grad;
        first[i] = m;
        second[i] = s;
        const scalar_t moved = value - corrected_lr * scale * (m / (sqrt(s / correction2) + eps));
        values[i] = moved;
        if (average) take_in(average, i, moved, d.decay, d.rest);
    }
}
