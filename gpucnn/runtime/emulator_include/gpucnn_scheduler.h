// What the scheduler (gpucnn_emulator.cpp) shares with the rest of the emulator's library.
#pragma once
#include "gpucnn_emulator.h"

// The kernels' names for these are macros; here they are members.
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include <string>
#include <vector>

#include "gpucnn_fiber.h"
#include "gpucnn_findings.h"

namespace gpucnn_emulator {

enum class State { Begin, Ready, Barrier, Warp, Done };

// What a thread waits for: an operation of its warp or block, and where in the source.
struct Wait {
    const char* operation;
    Place at;
    unsigned mask;
    int predicate;
    Vote vote;
    int result;
    const void* value;  // what a shuffle gives, where it puts what it takes, and from which lane
    void* out;
    std::size_t size;
    unsigned source;
};

struct Worker {
    Context context;
    char* stack;
};

struct Fiber {
    Thread thread;
    State state;
    Wait wait;
    Worker* worker;
};

extern std::vector<Fiber> fibers;
extern Fiber* running;
extern std::vector<unsigned char> dynamic;

// Ends the running thread where it stands.
void end_thread();

// What the scheduler tells the checker (gpucnn_checker.cpp); nothing happens in normal mode.
namespace checker {
void begin_launch(const Image& image);
void begin_block();
void barrier();                             // every live thread of the block has met
void warp(std::size_t first, unsigned mask);  // lanes of a warp have met
void end_block();
bool ended_a_thread();
// `caller` is where in the kernel's code. May end the thread.
void access(const void* where, std::uint32_t size, Access kind, bool aligned, void* caller);
void copy_begins(void* to, const void* from, std::uint32_t size, bool inside, void* caller);
void copy_lands(void* to, std::uint32_t size, void* caller);
}  // namespace checker

// What the scheduler tells the asynchronous copies (gpucnn_async.cpp).
void forget_copies();

}  // namespace gpucnn_emulator
