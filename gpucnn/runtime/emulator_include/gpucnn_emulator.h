// The CUDA language as C++: what a .cu file needs to be compiled by g++ and run on the CPU.
//
// Force-included before a kernel's text. A block's threads are fibers of the one host thread; each
// runs until a barrier, a warp operation or its end, and the scheduler (gpucnn_emulator.cpp) goes on
// with the next. So threadIdx is a global that the scheduler sets before it resumes a fiber.
#pragma once
#define GPUCNN_EMULATOR 1

#include <cstddef>
// The special functions of C++17 are most of libstdc++'s <cmath>, and half the time of a small kernel's
// build; another library does not know this macro.
#undef _GLIBCXX_USE_STD_SPEC_FUNCS
#define _GLIBCXX_USE_STD_SPEC_FUNCS 0
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// One block runs at a time, so a block's shared variables are static ones, in a section of their own
// that is poisoned before each block. In checked mode a guard lies before each, and a second section
// lists the guards: an index that leaves a variable meets one before it meets the next variable.
#define GPUCNN_SECTION(name) static __attribute__((section(name)))
#ifdef GPUCNN_CHECKED
#define GPUCNN_GUARD_(n)                                                                         \
    GPUCNN_SECTION("gpucnn_shared") __attribute__((used)) gpucnn_emulator::Guard gpucnn_guard_##n; \
    GPUCNN_SECTION("gpucnn_guards") __attribute__((used)) gpucnn_emulator::Guard* gpucnn_guard_at_##n = &gpucnn_guard_##n;
#define GPUCNN_GUARD(n) GPUCNN_GUARD_(n)
#define __shared__ GPUCNN_GUARD(__COUNTER__) GPUCNN_SECTION("gpucnn_shared")
#else
#define __shared__ GPUCNN_SECTION("gpucnn_shared")
#endif
#define DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(gpucnn_emulator::dynamic_shared())
#define DEVICE static inline

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct uint3 {
    unsigned x, y, z;
};

#define GPUCNN_VECTOR(T, name, size2, size4)                                              \
    struct alignas(size2) name##2 { T x, y; };                                            \
    struct alignas(size4) name##4 { T x, y, z, w; };                                      \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                            \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
GPUCNN_VECTOR(float, float, 8, 16)
GPUCNN_VECTOR(int, int, 8, 16)
GPUCNN_VECTOR(unsigned, uint, 8, 16)
GPUCNN_VECTOR(double, double, 16, 16)
GPUCNN_VECTOR(unsigned char, uchar, 2, 4)
#undef GPUCNN_VECTOR

namespace gpucnn_emulator {

struct Thread {
    uint3 thread_idx;
    unsigned lane, warp;
};

struct Guard {
    unsigned char bytes[256];
};

// A kernel's entry and its __shared__ variables, made by the text that follows it (emulator_build.py).
struct Image {
    void (*call)(void** args);
    unsigned char *shared, *shared_end;
    Guard **guards, **guards_end;
};

// Where in the source an operation is called.
struct Place {
    const char* file;
    int line;
};

enum class Vote { Count, Any, All };

// What the index variables of a kernel read.
struct Indices {
    Thread* current;
    uint3 block_idx;
    dim3 block_dim, grid_dim;
};

extern "C" {
extern Indices gpucnn_indices;
int gpucnn_barrier(const char* operation, Vote vote, int predicate, Place at);
int gpucnn_warp(const char* operation, unsigned mask, int predicate, const void* value, void* out,
                std::size_t size, int source, Place at);
void* gpucnn_dynamic_shared();
void gpucnn_note_atomic(const void* address, std::size_t size);
void gpucnn_copy_async(void* to, const void* from, std::size_t size, bool inside);
void gpucnn_commit_copies();
void gpucnn_wait_copies(std::size_t pending);
}

// Checked mode compiles with -fsanitize=thread; what carries this attribute is not checked.
#define GPUCNN_UNCHECKED __attribute__((no_sanitize("thread")))

inline void* dynamic_shared() { return gpucnn_dynamic_shared(); }

template <class T>
inline T shuffle(const char* operation, unsigned mask, T value, int source, Place at) {
    T out;
    gpucnn_warp(operation, mask, 0, &value, &out, sizeof value, source, at);
    return out;
}
inline unsigned vote(const char* operation, unsigned mask, int predicate, Place at) {
    return unsigned(gpucnn_warp(operation, mask, predicate, nullptr, nullptr, 0, 0, at));
}

// A kernel called with the addresses of its arguments, as cuLaunchKernel takes them.
template <class... Args, std::size_t... I>
GPUCNN_UNCHECKED inline void unpack(void (*kernel)(Args...), void** args, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<Args>*>(args[I])...);
}
template <class... Args>
GPUCNN_UNCHECKED inline void call(void (*kernel)(Args...), void** args) {
    unpack(kernel, args, std::index_sequence_for<Args...>{});
}

}  // namespace gpucnn_emulator

#define threadIdx (gpucnn_emulator::gpucnn_indices.current->thread_idx)
#define blockIdx (gpucnn_emulator::gpucnn_indices.block_idx)
#define blockDim (gpucnn_emulator::gpucnn_indices.block_dim)
#define gridDim (gpucnn_emulator::gpucnn_indices.grid_dim)
#define warpSize 32

// The caller's place in the source: defaults of __builtin_FILE and _LINE are read where the call is.
#define GPUCNN_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define GPUCNN_AT {file, line}

inline void __syncthreads(GPUCNN_PLACE) {
    gpucnn_emulator::gpucnn_barrier("__syncthreads", gpucnn_emulator::Vote::Any, 0, GPUCNN_AT);
}
inline int __syncthreads_count(int p, GPUCNN_PLACE) {
    return gpucnn_emulator::gpucnn_barrier("__syncthreads_count", gpucnn_emulator::Vote::Count, p, GPUCNN_AT);
}
inline int __syncthreads_or(int p, GPUCNN_PLACE) {
    return gpucnn_emulator::gpucnn_barrier("__syncthreads_or", gpucnn_emulator::Vote::Any, p, GPUCNN_AT);
}
inline int __syncthreads_and(int p, GPUCNN_PLACE) {
    return gpucnn_emulator::gpucnn_barrier("__syncthreads_and", gpucnn_emulator::Vote::All, p, GPUCNN_AT);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, GPUCNN_PLACE) {
    gpucnn_emulator::vote("__syncwarp", mask, 0, GPUCNN_AT);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// A shuffle takes from a lane of the own segment of `width` lanes, or from itself beyond its end.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, GPUCNN_PLACE) {
    const int own = gpucnn_emulator::gpucnn_indices.current->lane, base = own / width * width;
    const int source = base + (lane % width + width) % width;
    return gpucnn_emulator::shuffle("__shfl_sync", mask, value, source, GPUCNN_AT);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, GPUCNN_PLACE) {
    const int own = gpucnn_emulator::gpucnn_indices.current->lane;
    const int source = own % width + int(delta) < width ? own + int(delta) : own;
    return gpucnn_emulator::shuffle("__shfl_down_sync", mask, value, source, GPUCNN_AT);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, GPUCNN_PLACE) {
    const int own = gpucnn_emulator::gpucnn_indices.current->lane;
    const int source = own % width >= int(delta) ? own - int(delta) : own;
    return gpucnn_emulator::shuffle("__shfl_up_sync", mask, value, source, GPUCNN_AT);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, GPUCNN_PLACE) {
    const int own = gpucnn_emulator::gpucnn_indices.current->lane, other = own ^ bits;
    const int source = other / width <= own / width ? other : own;
    return gpucnn_emulator::shuffle("__shfl_xor_sync", mask, value, source, GPUCNN_AT);
}
inline unsigned __ballot_sync(unsigned mask, int p, GPUCNN_PLACE) {
    return gpucnn_emulator::vote("__ballot_sync", mask, p, GPUCNN_AT);
}
inline int __any_sync(unsigned mask, int p, GPUCNN_PLACE) {
    return gpucnn_emulator::vote("__any_sync", mask, p, GPUCNN_AT) != 0;
}
inline int __all_sync(unsigned mask, int p, GPUCNN_PLACE) {
    return gpucnn_emulator::vote("__all_sync", mask, !p, GPUCNN_AT) == 0;
}
inline unsigned __activemask() { return 0xffffffffu; }

template <class T>
inline T __ldg(const T* address) { return *address; }

// One thread runs at a time, so a read and a write in a row are atomic.
template <class T>
GPUCNN_UNCHECKED inline T gpucnn_replace(T* address, T value) { const T old = *address; *address = value; return old; }
template <class T>
GPUCNN_UNCHECKED inline T gpucnn_value(const T* address) { return *address; }
template <class T>
inline T atomicAdd(T* address, T value) {
    gpucnn_emulator::gpucnn_note_atomic(address, sizeof value);
    return gpucnn_replace(address, T(gpucnn_value(address) + value));
}
template <class T>
inline T atomicMax(T* address, T value) {
    gpucnn_emulator::gpucnn_note_atomic(address, sizeof value);
    const T old = gpucnn_value(address);
    return gpucnn_replace(address, old > value ? old : value);
}

// The wrappers of kernels/async.cuh.
template <int BYTES>
__forceinline__ void copy_async(void* to, const void* from, bool inside = true) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
    gpucnn_emulator::gpucnn_copy_async(to, from, BYTES, inside);
}
__forceinline__ void commit_copies() { gpucnn_emulator::gpucnn_commit_copies(); }
template <int PENDING>
__forceinline__ void wait_copies() { gpucnn_emulator::gpucnn_wait_copies(PENDING); }

inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((std::uint64_t(a) * b) >> 32); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __float_as_int(float v) { int r; std::memcpy(&r, &v, 4); return r; }
inline float __int_as_float(int v) { float r; std::memcpy(&r, &v, 4); return r; }
// In memory between the two, a product does not become part of an fma.
inline float __fmul_rn(float a, float b) { volatile float product = a * b; return product; }
inline double __dmul_rn(double a, double b) { volatile double product = a * b; return product; }
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline double rsqrt(double v) { return 1.0 / std::sqrt(v); }
template <class A, class B>
inline auto min(A a, B b) { using T = std::common_type_t<A, B>; return T(b) < T(a) ? T(b) : T(a); }
template <class A, class B>
inline auto max(A a, B b) { using T = std::common_type_t<A, B>; return T(a) < T(b) ? T(b) : T(a); }
using std::abs; using std::exp; using std::fabs; using std::fma; using std::fmax; using std::fmin;
using std::isfinite; using std::isnan; using std::isinf; using std::log; using std::pow;
using std::sqrt; using std::tanh; using std::floor; using std::ceil;
