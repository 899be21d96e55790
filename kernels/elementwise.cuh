// y[i] = f(a[i], b[i], ...) for every element: the activations, the sum and the squared error.
//
// mapping   a grid-stride loop over vectors of 16 bytes, neighbours on neighbours, then one thread each
//           for the elements left over; where an array (a slice of another one) does not begin on such
//           a boundary, the same threads take the same elements one by one
// launch    grid any, block any
// race-free each y[i] is written by one thread
#ifndef GPUCNN_ELEMENTWISE_CUH
#define GPUCNN_ELEMENTWISE_CUH
#include "vector.cuh"

template <class F, class... P>
DEVICE Pack<kVector> map_pack(F f, P... packs) {
    Pack<kVector> out;
#pragma unroll
    for (int v = 0; v < kVector; ++v) out.v[v] = f(packs.v[v]...);
    return out;
}

// A thread calls f in the order of its elements, which address and alignment do not change. Indices
// are unsigned: count < 2^31, and adding a grid's threads to it does not wrap.
template <class F, class... In>
DEVICE void map_elements(int count, scalar_t* y, F f, const In*... in) {
    const uint32 thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    const uint32 vectors = count / kVector;
    const bool whole = aligned(y) && (aligned(in) && ...);
    for (uint32 i = thread; i < vectors; i += threads) {
        const uint32 at = i * kVector;
        if (whole)
            store_pack(y + at, map_pack(f, load_pack<kVector>(in + at)...));
        else
            for (uint32 v = at; v < at + kVector; ++v) y[v] = f(in[v]...);
    }
    const uint32 rest = vectors * kVector + thread;
    if (rest < uint32(count)) y[rest] = f(in[rest]...);
}

#endif  // GPUCNN_ELEMENTWISE_CUH
