// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011; the constants are
// theirs): four random words from a counter and a key, with no state. gpucnn/ops/cpu/philox.py is its
// twin on the host, bit by bit.
#ifndef GPUCNN_PHILOX_CUH
#define GPUCNN_PHILOX_CUH
#include "vector.cuh"

struct Words {
    uint32 v[4];
};

// The draws of elements 4 * index to 4 * index + 3. An index is below 2^29, so the counter's second
// word, its high half, is 0.
DEVICE Words philox(uint32 index, uint64 seed, uint32 layer, uint32 step) {
    uint32 c0 = index, c1 = 0, c2 = layer, c3 = step;
    uint32 k0 = uint32(seed), k1 = uint32(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const uint64 first = uint64(c0) * 0xD2511F53u, second = uint64(c2) * 0xCD9E8D57u;
        c0 = uint32(second >> 32) ^ c1 ^ k0;
        c1 = uint32(second);
        c2 = uint32(first >> 32) ^ c3 ^ k1;
        c3 = uint32(first);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

#endif  // GPUCNN_PHILOX_CUH
