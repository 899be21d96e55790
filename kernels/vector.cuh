// Vectors of 16 bytes, the widest load and store of a thread.
#ifndef GPUCNN_VECTOR_CUH
#define GPUCNN_VECTOR_CUH
#include "common.cuh"

constexpr int kVector = 16 / sizeof(scalar_t);

template <int N>
struct alignas(N * sizeof(scalar_t)) Pack {
    scalar_t v[N];
};

DEVICE bool aligned(const void* address) { return reinterpret_cast<uint64>(address) % 16 == 0; }

template <int N>
DEVICE Pack<N> load_pack(const scalar_t* address) {
    return *reinterpret_cast<const Pack<N>*>(address);
}

template <int N>
DEVICE void store_pack(scalar_t* address, const Pack<N>& pack) {
    *reinterpret_cast<Pack<N>*>(address) = pack;
}

#endif  // GPUCNN_VECTOR_CUH
