// The emulator's scheduler: blocks one after another, a block's threads as fibers that take turns.
//
// A worker is a fiber that runs threads one after another until one of them has to wait; then the
// next worker goes on with the threads not yet begun. So a kernel without barriers runs on a single
// worker, at the price of a function call a thread. An operation of a warp or a block is completed
// by the scheduler once the last thread it needs has come.
//
// Built once into a library of its own, which every kernel's library links to.
#include "gpucnn_scheduler.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace gpucnn_emulator {

std::vector<Fiber> fibers;
Fiber* running;
std::vector<unsigned char> dynamic;

namespace {

constexpr unsigned char kPoison = 0xff;  // NaN as a float, and a wild index
constexpr unsigned kFull = 0xffffffffu;

std::vector<Worker*> workers, idle;
Worker* ended;  // whose thread has just been ended in the middle of its work
Context scheduler;
std::size_t begun;  // threads of the block that have been begun
const Image* image;
void** arguments;
std::string failure;

std::string place(const Fiber& f) {
    const uint3 t = f.thread.thread_idx;
    std::string text = "thread (" + std::to_string(t.x) + ", " + std::to_string(t.y) + ", " +
                       std::to_string(t.z) + ")";
    if (f.state == State::Done) return text + " has ended";
    text += std::string(" waits in ") + f.wait.operation;
    if (f.state == State::Warp) {
        char mask[16];
        std::snprintf(mask, sizeof mask, "%08x", f.wait.mask);
        text += std::string(" of mask 0x") + mask;
    }
    return text + " at " + f.wait.at.file + ":" + std::to_string(f.wait.at.line);
}

std::string block_place() {
    const uint3 b = gpucnn_indices.block_idx;
    return "block (" + std::to_string(b.x) + ", " + std::to_string(b.y) + ", " + std::to_string(b.z) +
           ")";
}

// Runs threads until none is left to begin; a thread that waits takes its worker along.
void work() {
    for (;;) {
        Worker* const own = idle.back();
        idle.pop_back();
        while (begun < fibers.size()) {
            running = &fibers[begun++];
            running->worker = own;
            gpucnn_indices.current = &running->thread;
            image->call(arguments);
            running->state = State::Done;
        }
        idle.push_back(own);
        switch_to(own->context, scheduler);
    }
}

void wait(State state) {
    running->state = state;
    switch_to(running->worker->context, scheduler);
}

// Goes on with a worker; one whose thread was ended in the middle of its work starts afresh.
void enter(Worker* worker) {
    switch_to(scheduler, worker->context);
    if (!ended) return;
    prepare(ended->context, ended->stack, work);
    idle.push_back(ended);
    ended = nullptr;
}

void resume(Fiber& f) {
    running = &f;
    gpucnn_indices.current = &f.thread;
    enter(f.worker);
}

// The lanes of a warp that exist: fewer than 32 in a block's last warp.
unsigned existing(std::size_t first) {
    const std::size_t left = fibers.size() - first;
    return left >= 32 ? kFull : (1u << left) - 1u;
}

// Carries out the operation that the lanes of `mask` wait in. An undefined result is poison.
void complete_warp(Fiber* warp, unsigned mask) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1u && warp[lane].wait.predicate) votes |= 1u << lane;
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1u)) continue;
        Wait& w = warp[lane].wait;
        w.result = int(votes);
        if (!w.out) continue;
        if (mask >> w.source & 1u)
            std::memcpy(w.out, warp[w.source].wait.value, w.size);
        else
            std::memset(w.out, kPoison, w.size);
    }
    for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1u) warp[lane].state = State::Ready;
    checker::warp(std::size_t(warp - fibers.data()), mask);
}

// Lets those lanes go on that all wait in an operation of the same mask.
bool release_warps() {
    bool any = false;
    for (std::size_t first = 0; first < fibers.size(); first += 32) {
        Fiber* const warp = &fibers[first];
        const unsigned live = existing(first);
        unsigned seen = 0;
        for (unsigned lane = 0; lane < 32 && live >> lane & 1u; ++lane) {
            if (warp[lane].state != State::Warp || seen >> lane & 1u) continue;
            const unsigned mask = warp[lane].wait.mask;
            bool all = true;
            for (unsigned other = 0; other < 32; ++other)
                if (mask >> other & 1u)
                    all = all && warp[other].state == State::Warp && warp[other].wait.mask == mask;
            seen |= mask;
            if (!all) continue;
            complete_warp(warp, mask);
            any = true;
        }
    }
    return any;
}

// Lets the block go on when every thread that has not ended waits at a barrier.
bool release_barrier() {
    int waiting = 0, votes = 0;
    for (const Fiber& f : fibers) {
        if (f.state == State::Warp || f.state == State::Ready) return false;
        if (f.state == State::Barrier) ++waiting, votes += f.wait.predicate;
    }
    if (!waiting) return false;
    checker::barrier();
    for (Fiber& f : fibers) {
        if (f.state != State::Barrier) continue;
        f.wait.result = f.wait.vote == Vote::Count  ? votes
                        : f.wait.vote == Vote::Any ? votes > 0
                                                   : votes == waiting;
        f.state = State::Ready;
    }
    return true;
}

std::string stuck() {
    const Fiber* first = nullptr;
    for (const Fiber& f : fibers)
        if (f.state == State::Warp) { first = &f; break; }
    std::string text = block_place() + ": " + place(*first);
    const unsigned lanes = first->wait.mask;
    const std::size_t warp = first->thread.warp * std::size_t(32);
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(lanes >> lane & 1u)) continue;
        const Fiber& other = fibers[warp + lane];
        if (other.state == State::Warp && other.wait.mask == lanes) continue;
        return text + ", but " + place(other);
    }
    return text;
}

// Whether every thread has come to its end.
bool run_block() {
    const dim3 size = gpucnn_indices.block_dim;
    std::memset(image->shared, kPoison, std::size_t(image->shared_end - image->shared));
    std::memset(dynamic.data(), kPoison, dynamic.size());
    for (std::size_t i = 0; i < fibers.size(); ++i) {
        const unsigned t = unsigned(i);
        fibers[i].thread = {{t % size.x, t / size.x % size.y, t / (size.x * size.y)}, t % 32, t / 32};
        fibers[i].state = State::Begin;
    }
    begun = 0;
    forget_copies();
    checker::begin_block();
    while (begun < fibers.size() && failure.empty()) enter(idle.back());
    while (failure.empty()) {
        if (!release_warps() && !release_barrier()) {
            const bool done = std::all_of(fibers.begin(), fibers.end(),
                                          [](const Fiber& f) { return f.state == State::Done; });
            if (!done && !checker::ended_a_thread()) failure = stuck();
            if (done) checker::end_block();
            return done;
        }
        for (Fiber& f : fibers)
            if (f.state == State::Ready && failure.empty()) resume(f);
    }
    return false;
}

bool reserve_workers(std::size_t count) {
    while (workers.size() < count) {
        char* stack = new_stack();
        if (!stack) return false;
        Worker* const worker = new Worker{{}, stack};
        prepare(worker->context, stack, work);
        workers.push_back(worker);
        idle.push_back(worker);
    }
    return true;
}

// Forgets the threads that a failed launch left in the middle of their work.
void reset_workers() {
    idle = workers;
    for (Worker* worker : workers) prepare(worker->context, worker->stack, work);
}

}  // namespace

void end_thread() {
    ended = running->worker;
    wait(State::Done);
}

extern "C" {

Indices gpucnn_indices;

int gpucnn_barrier(const char* operation, Vote vote, int predicate, Place at) {
    running->wait = {operation, at, 0, predicate != 0, vote, 0, nullptr, nullptr, 0, 0};
    wait(State::Barrier);
    return running->wait.result;
}

int gpucnn_warp(const char* operation, unsigned mask, int predicate, const void* value, void* out,
                std::size_t size, int source, Place at) {
    // Lanes beyond the block's end do not exist and cannot be waited for.
    const unsigned lanes = mask & existing(running->thread.warp * std::size_t(32));
    running->wait = {operation, at, lanes, predicate != 0, Vote::Any, 0, value, out, size, unsigned(source)};
    running->state = State::Warp;
    if (!(mask >> running->thread.lane & 1u)) {
        failure = block_place() + ": " + place(*running) + ", but the mask leaves that lane out";
        end_thread();
    }
    wait(State::Warp);
    return running->wait.result;
}

void* gpucnn_dynamic_shared() { return dynamic.data(); }

// Runs a kernel over the grid; returns an error's text or null. `order` is null or the order of the
// blocks.
const char* gpucnn_run(const Image* kernel, void** args, const unsigned grid[3],
                       const unsigned block[3], std::size_t shared_bytes, int flush_denormals,
                       const unsigned* order) {
    gpucnn_indices.grid_dim = {grid[0], grid[1], grid[2]};
    gpucnn_indices.block_dim = {block[0], block[1], block[2]};
    fibers.assign(std::size_t(block[0]) * block[1] * block[2], Fiber{});
    if (!reserve_workers(fibers.size())) return "no memory for the threads' stacks";
    dynamic.resize(shared_bytes);
    image = kernel;
    arguments = args;
    failure.clear();
#if defined(__x86_64__)
    const unsigned control = _mm_getcsr();
    if (flush_denormals) _mm_setcsr(control | 0x8040u);  // FTZ and DAZ, as NVRTC's -ftz=true
#endif
    const std::size_t blocks = std::size_t(grid[0]) * grid[1] * grid[2];
    checker::begin_launch(*kernel);
    bool whole = true;
    for (std::size_t i = 0; i < blocks && whole; ++i) {
        const unsigned b = order ? order[i] : unsigned(i);
        gpucnn_indices.block_idx = {b % grid[0], b / grid[0] % grid[1], b / (grid[0] * grid[1])};
        whole = run_block();
    }
#if defined(__x86_64__)
    _mm_setcsr(control);
#endif
    if (!whole) reset_workers();
    return failure.empty() ? nullptr : failure.c_str();
}

}  // extern "C"
}  // namespace gpucnn_emulator
