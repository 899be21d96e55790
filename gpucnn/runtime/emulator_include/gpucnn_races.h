// Two accesses of one place race if one of them writes and nothing orders them: no barrier lies
// between two threads of a block, no operation of their warp between two lanes, and nothing ever
// between two blocks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpucnn_findings.h"

namespace gpucnn_emulator {

struct Actor {
    std::uint32_t thread, block, code;  // block counts from 1: 0 is nobody
};

struct Race {
    enum { None, Threads, Blocks } found;
    Actor other;
};

namespace races {

inline std::uint32_t interval;  // between two barriers; counts on through all blocks and launches

// When lanes of a warp have last met: all of them, and each pair.
struct Warp {
    std::uint32_t clock, all;
    std::uint32_t pair[32][32];
};
inline std::vector<Warp> warps;

inline void begin_launch(std::size_t threads) { warps.assign((threads + 31) / 32, Warp{}); }
inline void next_interval() { ++interval; }

inline void warp_met(std::size_t warp, unsigned mask) {
    Warp& w = warps[warp];
    ++w.clock;
    if (mask == 0xffffffffu) {
        w.all = w.clock;
        return;
    }
    for (unsigned a = 0; a < 32; ++a)
        for (unsigned b = 0; mask >> a & 1u && b < 32; ++b)
            if (mask >> b & 1u) w.pair[a][b] = w.clock;
}

}  // namespace races

// One access of a place: whose, when.
struct Visit {
    Actor actor;
    std::uint32_t interval, clock;

    bool races_with(const Actor& other) const {
        if (interval != races::interval || actor.thread == other.thread) return false;
        if (actor.thread / 32 != other.thread / 32) return true;
        const races::Warp& warp = races::warps[other.thread / 32];
        return warp.all <= clock && warp.pair[actor.thread % 32][other.thread % 32] <= clock;
    }
};

// The history of one place. Two readers suffice: of two warps if there were readers of two warps.
class Cell {
public:
    Race visit(const Actor& actor, Access access) {
        const Visit now{actor, races::interval, races::warps[actor.thread / 32].clock};
        const bool load = access == Access::Load, atomic = access == Access::Atomic;
        const Race race = find(actor, load, atomic);
        if (load) {
            many_blocks_ = many_blocks_ || (first_.actor.block && first_.actor.block != actor.block);
            if (first_.interval != now.interval || first_.actor.thread == actor.thread)
                first_ = now;
            else if (second_.interval != now.interval ||
                     second_.actor.thread / 32 == first_.actor.thread / 32 ||
                     actor.thread / 32 != first_.actor.thread / 32)
                second_ = now;
        } else {
            write_ = now;
            atomic_ = atomic;
        }
        return race;
    }
    bool was_read() const { return first_.actor.block != 0 || atomic_; }
    bool was_written() const { return write_.actor.block != 0; }

private:
    Race find(const Actor& actor, bool load, bool atomic) const {
        if (write_.actor.block && !(atomic && atomic_)) {
            if (write_.actor.block != actor.block) return {Race::Blocks, write_.actor};
            if (write_.races_with(actor)) return {Race::Threads, write_.actor};
        }
        if (load || !first_.actor.block) return {Race::None, {}};
        if (first_.actor.block != actor.block || many_blocks_) return {Race::Blocks, first_.actor};
        for (const Visit* reader : {&first_, &second_})
            if (reader->races_with(actor)) return {Race::Threads, reader->actor};
        return {Race::None, {}};
    }

    Visit write_{}, first_{}, second_{};
    bool atomic_ = false, many_blocks_ = false;
};

}  // namespace gpucnn_emulator
