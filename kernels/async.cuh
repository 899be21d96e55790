// Copies from global to shared memory that a thread starts, goes on, and later waits for: cp.async of
// sm_80 and newer, past the registers. On an older GPU the copy is done when it is started.
//
//     copy_async<16>(&tile[next][i], &x[j], inside);   // for each vector of the next tile
//     commit_copies();                                 // they are one group
//     wait_copies<1>();                                // all groups but the last have landed
//     __syncthreads();                                 // those of the other threads too
//
// wait_copies is for the thread's own copies alone, so a barrier must follow before another thread
// reads them; and one must precede the copy into what other threads may still be reading.
#ifndef GPUCNN_ASYNC_CUH
#define GPUCNN_ASYNC_CUH
#include "common.cuh"

// The emulator's headers define these, and find what reads before the wait.
#ifndef GPUCNN_EMULATOR

// BYTES is 4, 8 or 16, which both addresses are multiples of. Zeros where not `inside`: then `from` is
// not read.
template <int BYTES>
DEVICE void copy_async(void* to, const void* from, bool inside = true) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
    const uint32 shared = static_cast<uint32>(__cvta_generic_to_shared(to));
    const int valid = inside ? BYTES : 0;
    // .cg leaves the first-level cache out, where nobody else looks for the data; it takes 16 bytes.
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(valid) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(BYTES), "r"(valid)
                     : "memory");
#else
    constexpr int words = BYTES / 4;
    struct alignas(BYTES) Words {
        uint32 word[words];
    } zeros = {};
    *static_cast<Words*>(to) = inside ? *static_cast<const Words*>(from) : zeros;
#endif
}

// Closes the group of the thread's copies since the last one.
DEVICE void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for all closed groups of the thread but the last PENDING.
template <int PENDING>
DEVICE void wait_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

#endif  // GPUCNN_EMULATOR
#endif  // GPUCNN_ASYNC_CUH
