// Copies that a thread starts and later waits for: cp.async.
//
// A GPU may carry out such a copy at any time between the two. Here it lands as late as the kernel
// allows, at the wait that covers it; until then its target is poison, and in checked mode an access
// of it is a fault. Copies belong to groups, which a thread closes one after another.
#include <cstring>
#include <vector>

#include "gpucnn_scheduler.h"

namespace gpucnn_emulator {
namespace {

constexpr unsigned char kPoison = 0xff;

struct Copy {
    unsigned char* to;
    unsigned char value[16];
    std::uint32_t size;
    std::size_t group;
    void* caller;
};

struct Copies {
    std::vector<Copy> pending;
    std::size_t closed = 0;  // groups so far
};

std::vector<Copies> copies;  // of each thread of the block that has started one

Copies& own() {
    const std::size_t thread = std::size_t(running - fibers.data());
    if (copies.size() <= thread) copies.resize(thread + 1);
    return copies[thread];
}

}  // namespace

void forget_copies() { copies.clear(); }

extern "C" {

// Starts a copy; of zeros where not `inside`.
void gpucnn_copy_async(void* to, const void* from, std::size_t size, bool inside) {
    void* const caller = __builtin_return_address(0);
    checker::copy_begins(to, from, std::uint32_t(size), inside, caller);
    Copy copy{static_cast<unsigned char*>(to), {}, std::uint32_t(size), own().closed, caller};
    if (inside) std::memcpy(copy.value, from, size);
    own().pending.push_back(copy);
    std::memset(to, kPoison, size);
}

void gpucnn_commit_copies() { ++own().closed; }

// Waits for all closed groups but the last `pending`.
void gpucnn_wait_copies(std::size_t pending) {
    std::vector<Copy> later;
    Copies& mine = own();
    for (const Copy& copy : mine.pending) {
        if (copy.group + pending >= mine.closed) {
            later.push_back(copy);
            continue;
        }
        std::memcpy(copy.to, copy.value, copy.size);
        checker::copy_lands(copy.to, copy.size, copy.caller);
    }
    mine.pending = later;
}

}  // extern "C"
}  // namespace gpucnn_emulator
