// What checked mode knows of a block's shared memory, byte by byte.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "gpucnn_emulator.h"
#include "gpucnn_races.h"

namespace gpucnn_emulator {

// What is known of a byte of memory that is not written from the start.
enum Byte : unsigned char { Unwritten, Written, Awaited, Guarded };

struct SharedSpace {
    std::uint64_t begin = 0, end = 0;
    std::vector<unsigned char> initialised;
    std::vector<Cell> cells;

    void set(const unsigned char* first, std::size_t size) {
        begin = reinterpret_cast<std::uint64_t>(first);
        end = begin + size;
        initialised.assign(size, Unwritten);
        cells.assign(size, Cell{});
    }

    // Whether an access lies within: it is shorter than a guard.
    bool holds(std::uint64_t address, std::uint32_t size) const {
        return begin <= address && address + size <= end && initialised[address - begin] != Guarded &&
               initialised[address + size - 1 - begin] != Guarded;
    }

    void guard(const Guard& g) {
        std::memset(&initialised[reinterpret_cast<std::uint64_t>(g.bytes) - begin], Guarded, sizeof g);
    }

    // A block's memory begins unwritten.
    void forget() {
        for (unsigned char& byte : initialised)
            if (byte != Guarded) byte = Unwritten;
    }
};

}  // namespace gpucnn_emulator
