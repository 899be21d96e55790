// How a kernel uses memory. A GPU serves a warp's 32 lanes as one request; here the lanes run one
// after another, so a request is put together from the n-th execution of one instruction by each.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "gpucnn_findings.h"
#include "gpucnn_scheduler.h"

namespace gpucnn_emulator::metrics {

struct Request {
    std::uint32_t lanes = 0;
    std::uint64_t offset[32];
};

// One instruction with one width in one space, over the block that runs.
struct Site {
    std::size_t total;  // its row in the table
    std::vector<std::uint32_t> executed;         // by each thread
    std::vector<std::vector<Request>> requests;  // of each warp
};

inline std::map<std::tuple<std::uint32_t, std::uint32_t, Space>, Site> sites;
inline std::vector<Metric> totals;
inline std::size_t threads;

inline void begin_launch(std::size_t count) {
    sites.clear();
    totals.clear();
    threads = count;
}

// The request that this execution of the instruction by a thread is part of.
inline Request& request(Space space, Access access, std::uint32_t code, std::uint32_t size, const Fiber& fiber) {
    const auto [place, is_new] = sites.try_emplace({code, size, space});
    Site& site = place->second;
    if (is_new) {
        site.total = totals.size();
        site.executed.resize(threads);
        site.requests.resize((threads + 31) / 32);
        totals.push_back({space, access, code, size, 0, 0, 0});
    }
    std::vector<Request>& requests = site.requests[fiber.thread.warp];
    const std::uint32_t n = site.executed[std::size_t(&fiber - fibers.data())]++;
    if (n >= requests.size()) requests.resize(n + 1);
    return requests[n];
}

inline void note(Space space, Access access, std::uint32_t code, std::uint32_t size,
                 std::uint64_t offset, const Fiber& fiber) {
    Request& r = request(space, access, code, size, fiber);
    r.lanes |= 1u << fiber.thread.lane;
    r.offset[fiber.thread.lane] = offset;
}

// Different values of `unit` bytes among the lanes from `first` on.
inline std::vector<std::uint64_t> places(const Request& r, unsigned first, unsigned lanes,
                                         std::uint32_t size, std::uint32_t unit) {
    std::vector<std::uint64_t> found;
    for (unsigned lane = first; lane < first + lanes; ++lane)
        if (r.lanes >> lane & 1u)
            for (std::uint64_t u = r.offset[lane] / unit; u <= (r.offset[lane] + size - 1) / unit; ++u)
                found.push_back(u);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

// Shared memory has 32 banks of 4 bytes; a wavefront takes one word of each. Lanes with 8 bytes are
// served by halves of the warp, with 16 bytes by quarters.
inline std::uint64_t wavefronts(const Request& r, std::uint32_t size) {
    const unsigned group = size <= 4 ? 32 : size == 8 ? 16 : 8;
    std::uint64_t sum = 0;
    for (unsigned first = 0; first < 32; first += group) {
        std::uint64_t words[32] = {};
        for (std::uint64_t word : places(r, first, group, size, 4)) ++words[word % 32];
        sum += *std::max_element(words, words + 32);
    }
    return sum;
}

inline void end_block() {
    for (auto& [key, site] : sites) {
        Metric& total = totals[site.total];
        for (std::vector<Request>& warp : site.requests) {
            for (const Request& r : warp) {
                if (!r.lanes) continue;  // of copies that no lane made
                ++total.requests;
                total.bytes += std::uint64_t(__builtin_popcount(r.lanes)) * total.size;
                total.units += total.space == Space::Shared ? wavefronts(r, total.size)
                                                            : places(r, 0, 32, total.size, 32).size();
            }
            warp.clear();
        }
        std::fill(site.executed.begin(), site.executed.end(), 0u);
    }
}

inline const Metric* table(std::size_t* count) {
    *count = totals.size();
    return totals.data();
}

}  // namespace gpucnn_emulator::metrics
