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

struct Fiber {
    Thread thread;
    State state;
    Wait wait;
    void* worker;
};

extern std::vector<Fiber> fibers;
extern Fiber* running;
extern std::vector<unsigned char> dynamic;

// Ends the launch with an error; does not return to the kernel.
void fail(const std::string& text);

}  // namespace gpucnn_emulator
