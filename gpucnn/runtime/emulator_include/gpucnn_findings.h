// What checked mode reports; emulator_checked.py reads these structs as they stand here.
#pragma once
#include <cstdint>

namespace gpucnn_emulator {

enum class Kind : std::uint32_t {
    Outside, Misaligned, Uninitialised, RaceInBlock, RaceOfBlocks, ShuffleSource, DivergentBarrier,
    OnItsWay, NotShared
};
enum class Access : std::uint32_t { Load, Store, Atomic };
enum class Space : std::uint32_t { Global, Shared };

// Places in the code are offsets from where the kernel's library is loaded.
struct Finding {
    Kind kind;
    Access access;
    std::uint64_t address, offset, count;  // offset in the library, or in dynamic shared memory
    std::uint32_t space,  // 0: global or unknown, 1: a __shared__ variable, 2: dynamic shared memory
        size, code, other_code, thread, other_thread, block, other_block, line, other_line;
    const char *file, *other_file;
};

struct Metric {
    Space space;
    Access access;
    std::uint32_t code, size;
    std::uint64_t requests, units, bytes;  // units: sectors of 32 bytes, or wavefronts
};

// An array the kernel was given. `initialised`: a byte for each of its bytes, or null where all are.
struct Region {
    std::uint64_t begin, end, origin;
    std::uint32_t granule;
    unsigned char* initialised;
    std::uint64_t loaded, stored;  // bytes that were read and written at least once
};

}  // namespace gpucnn_emulator
