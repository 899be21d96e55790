// The emulator's scheduler: blocks one after another, a block's threads as fibers that take turns.
#include "gpucnn_emulator.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using gpucnn_emulator::Thread;

namespace {

constexpr std::size_t kStack = 256 * 1024;
constexpr unsigned char kPoison = 0xff;  // NaN as a float, and a wild index

enum class State { Ready, Barrier, Warp, Done };

struct Fiber {
    Thread thread;
    State state;
    unsigned mask;  // of the warp operation it waits in
    int predicate;
    unsigned char value[16];
    ucontext_t context;
};

std::vector<Fiber> fibers;
std::vector<char*> stacks;
std::vector<unsigned char> dynamic;
ucontext_t scheduler;
Fiber* running;
void (*entry)(void**);
void** arguments;
int reduced;
std::string failure;

extern "C" unsigned char __start_gpucnn_shared[] __attribute__((weak));
extern "C" unsigned char __stop_gpucnn_shared[] __attribute__((weak));

void yield(State state) {
    running->state = state;
    swapcontext(&running->context, &scheduler);
}

void body() {
    entry(arguments);
    yield(State::Done);
}

// Lets a warp go on whose lanes of one mask all wait in an operation of that mask.
bool release_warps() {
    bool any = false;
    for (std::size_t first = 0; first < fibers.size(); first += 32) {
        const std::size_t last = std::min(first + 32, fibers.size());
        for (std::size_t i = first; i < last; ++i) {
            if (fibers[i].state != State::Warp) continue;
            const unsigned mask = fibers[i].mask;
            bool all = true;
            for (std::size_t j = first; j < last; ++j)
                if (mask >> (j - first) & 1u)
                    all = all && fibers[j].state == State::Warp && fibers[j].mask == mask;
            if (!all) continue;
            for (std::size_t j = first; j < last; ++j)
                if (mask >> (j - first) & 1u) fibers[j].state = State::Ready;
            any = true;
        }
    }
    return any;
}

bool release_barrier() {
    bool waiting = false;
    for (const Fiber& f : fibers) {
        if (f.state == State::Warp || f.state == State::Ready) return false;
        waiting = waiting || f.state == State::Barrier;
    }
    if (!waiting) return false;
    for (Fiber& f : fibers)
        if (f.state == State::Barrier) f.state = State::Ready;
    return true;
}

bool run_block() {
    const dim3 size = gpucnn_emulator::gpucnn_block_dim;
    std::memset(__start_gpucnn_shared, kPoison, __stop_gpucnn_shared - __start_gpucnn_shared);
    std::memset(dynamic.data(), kPoison, dynamic.size());
    for (std::size_t i = 0; i < fibers.size(); ++i) {
        Fiber& f = fibers[i];
        const unsigned t = unsigned(i);
        f.thread = {{t % size.x, t / size.x % size.y, t / (size.x * size.y)}, t % 32, t / 32};
        f.state = State::Ready;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = stacks[i];
        f.context.uc_stack.ss_size = kStack;
        f.context.uc_link = nullptr;
        makecontext(&f.context, body, 0);
    }
    for (;;) {
        bool done = true;
        for (Fiber& f : fibers) {
            if (f.state == State::Ready) {
                running = &f;
                gpucnn_emulator::gpucnn_current = &f.thread;
                swapcontext(&scheduler, &f.context);
            }
            done = done && f.state == State::Done;
        }
        if (done) return true;
        if (!release_warps() && !release_barrier()) {
            failure = "a barrier or warp operation that not every live thread reaches";
            return false;
        }
    }
}

}  // namespace

namespace gpucnn_emulator {
extern "C" {

Thread* gpucnn_current;
uint3 gpucnn_block_idx;
dim3 gpucnn_block_dim, gpucnn_grid_dim;

void gpucnn_barrier() { yield(State::Barrier); }

int gpucnn_barrier_reduce(int predicate, int operation) {
    running->predicate = predicate != 0;
    yield(State::Barrier);
    int count = 0, live = 0;
    for (const Fiber& f : fibers)
        if (f.state != State::Done) ++live, count += f.predicate;
    yield(State::Barrier);  // nobody's predicate changes before all have read it
    return operation == 0 ? count : operation == 1 ? count > 0 : count == live;
}

void gpucnn_warp_barrier(unsigned mask) {
    // Lanes beyond the block's end do not exist and cannot be waited for.
    const unsigned first = running->thread.warp * 32, left = unsigned(fibers.size()) - first;
    running->mask = left >= 32 ? mask : mask & ((1u << left) - 1u);
    yield(State::Warp);
}

void gpucnn_exchange(unsigned mask, const void* mine, std::size_t size, int source, void* out) {
    std::memcpy(running->value, mine, size);
    gpucnn_warp_barrier(mask);
    const Fiber* warp = &fibers[running->thread.warp * 32];
    const bool there = running->thread.warp * 32 + unsigned(source) < fibers.size();
    std::memcpy(out, there && mask >> source & 1u ? warp[source].value : running->value, size);
    gpucnn_warp_barrier(mask);  // nobody's value changes before all have read it
}

unsigned gpucnn_ballot(unsigned mask, int predicate) {
    running->predicate = predicate != 0;
    gpucnn_warp_barrier(mask);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32 && running->thread.warp * 32 + lane < fibers.size(); ++lane)
        if (mask >> lane & 1u && fibers[running->thread.warp * 32 + lane].predicate) votes |= 1u << lane;
    gpucnn_warp_barrier(mask);
    return votes;
}

void* gpucnn_dynamic_shared() { return dynamic.data(); }

// Runs a kernel over the grid; returns an error's text or null. `order` is null or the order of the
// blocks.
const char* gpucnn_run(void (*kernel)(void**), void** args, const unsigned grid[3],
                       const unsigned block[3], std::size_t shared_bytes, int flush_denormals,
                       const unsigned* order) {
    gpucnn_grid_dim = {grid[0], grid[1], grid[2]};
    gpucnn_block_dim = {block[0], block[1], block[2]};
    const std::size_t threads = std::size_t(block[0]) * block[1] * block[2];
    fibers.resize(threads);
    while (stacks.size() < threads) {
        void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stack == MAP_FAILED) return "no memory for the threads' stacks";
        stacks.push_back(static_cast<char*>(stack));
    }
    dynamic.resize(shared_bytes);
    entry = kernel;
    arguments = args;
    failure.clear();
#if defined(__x86_64__)
    const unsigned control = _mm_getcsr();
    if (flush_denormals) _mm_setcsr(control | 0x8040u);  // FTZ and DAZ, as NVRTC's -ftz=true
#endif
    const std::size_t blocks = std::size_t(grid[0]) * grid[1] * grid[2];
    for (std::size_t i = 0; i < blocks && failure.empty(); ++i) {
        const unsigned b = order ? order[i] : unsigned(i);
        gpucnn_block_idx = {b % grid[0], b / grid[0] % grid[1], b / (grid[0] * grid[1])};
        run_block();
    }
#if defined(__x86_64__)
    _mm_setcsr(control);
#endif
    return failure.empty() ? nullptr : failure.c_str();
}

}  // extern "C"
}  // namespace gpucnn_emulator
