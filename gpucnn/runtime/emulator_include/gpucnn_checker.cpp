// Checked mode: sees every load and store of a kernel and finds what a GPU would not tell.
//
// gpucnn_access.cpp tells it of each access, the scheduler of what orders them.
#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "gpucnn_findings.h"
#include "gpucnn_metrics.h"
#include "gpucnn_races.h"
#include "gpucnn_scheduler.h"
#include "gpucnn_shared.h"

namespace gpucnn_emulator {
namespace {

constexpr unsigned char kPoison = 0xff;

bool checking, ended;
std::vector<Region> regions;
std::vector<std::vector<Cell>> cells;  // of each region
std::vector<Finding> findings;
std::map<std::tuple<Kind, std::uint32_t, std::uint32_t>, std::size_t> known;

SharedSpace shared[2];  // the __shared__ variables, the dynamic shared memory
std::uint64_t code_begin;

std::uint32_t block_index() {
    const dim3 g = gpucnn_indices.grid_dim;
    const uint3 b = gpucnn_indices.block_idx;
    return (b.z * g.y + b.y) * g.x + b.x;
}

std::uint32_t thread_index(const Fiber& f) { return std::uint32_t(&f - fibers.data()); }

void report(Finding finding) {
    finding.count = 1;
    finding.block = block_index();
    // A barrier's place is a line of the source, an access's an offset in the code.
    const auto key = std::make_tuple(finding.kind, finding.code ? finding.code : finding.line,
                                     finding.code ? finding.other_code : finding.other_line);
    const auto [place, is_new] = known.emplace(key, findings.size());
    if (is_new)
        findings.push_back(finding);
    else
        ++findings[place->second].count;
}

Finding at(Kind kind, Access access, std::uint64_t address, std::uint32_t size, std::uint32_t code) {
    Finding f{};
    f.kind = kind, f.access = access, f.address = address, f.size = size, f.code = code;
    f.thread = thread_index(*running);
    f.offset = address - code_begin;
    return f;
}

// Constants of the kernel's own library may be read.
int find_constant(dl_phdr_info* info, std::size_t, void* wanted) {
    const std::uint64_t address = *static_cast<std::uint64_t*>(wanted);
    if (info->dlpi_addr != code_begin) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr)& part = info->dlpi_phdr[i];
        const std::uint64_t begin = info->dlpi_addr + part.p_vaddr;
        if (part.p_type == PT_LOAD && !(part.p_flags & PF_W) && begin <= address &&
            address < begin + part.p_memsz)
            return 1;
    }
    return 0;
}

void check_initialised(Finding finding, unsigned char* initialised, bool host_may_write) {
    const unsigned char* value = reinterpret_cast<const unsigned char*>(finding.address);
    for (std::uint32_t i = 0; i < finding.size; ++i) {
        if (initialised[i] == Awaited) {
            finding.kind = Kind::OnItsWay;
            report(finding);
            break;
        }
        if (finding.access == Access::Store) {
            initialised[i] = Written;
        } else if (!initialised[i] && !(host_may_write && value[i] != kPoison)) {
            finding.kind = Kind::Uninitialised;
            report(finding);
            break;
        }
    }
    if (finding.access == Access::Atomic) std::memset(initialised, Written, finding.size);
}

void check_race(const Finding& finding, Cell* first, Cell* last) {
    // A block has shared memory of its own; intervals already tell one block's from the next's.
    const Actor actor{finding.thread, finding.space ? 1 : block_index() + 1, finding.code};
    for (Cell* cell = first; cell != last; ++cell) {
        const Race race = cell->visit(actor, finding.access);
        if (race.found == Race::None) continue;
        Finding f = finding;
        f.kind = race.found == Race::Threads ? Kind::RaceInBlock : Kind::RaceOfBlocks;
        f.other_thread = race.other.thread;
        f.other_block = race.other.block - 1;
        f.other_code = race.other.code;
        report(f);
        return;
    }
}

SharedSpace* space_of(std::uint64_t address, std::uint32_t size) {
    for (SharedSpace& s : shared)
        if (s.holds(address, size)) return &s;
    return nullptr;
}

std::uint32_t code_of(void* caller) {
    return std::uint32_t(reinterpret_cast<std::uint64_t>(caller) - 1 - code_begin);
}

}  // namespace

namespace checker {

void access(const void* where, std::uint32_t size, Access kind, bool aligned, void* caller) {
    if (!checking) return;
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(where), end = address + size;
    const auto within = [&](const void* begin, std::size_t bytes) {
        const std::uint64_t first = reinterpret_cast<std::uint64_t>(begin);
        return first <= address && end <= first + bytes;
    };
    if (within(&gpucnn_indices, sizeof gpucnn_indices)) return;
    if (within(running->worker->stack, kStackBytes)) return;
    if (within(fibers.data(), fibers.size() * sizeof(Fiber))) return;
    const std::uint32_t code = code_of(caller);
    Finding finding = at(Kind::Outside, kind, address, size, code);
    const auto end_with = [&](Kind what) {
        Finding f = finding;
        f.kind = what;
        report(f);
        ended = true;
        end_thread();
    };
    if (aligned && address % size) return end_with(Kind::Misaligned);
    if (SharedSpace* const s = space_of(address, size)) {
        const std::size_t offset = address - s->begin;
        finding.space = s == shared ? 1 : 2;
        if (finding.space == 2) finding.offset = offset;
        metrics::note(Space::Shared, kind, code, size, offset, *running);
        check_race(finding, &s->cells[offset], &s->cells[offset] + size);
        return check_initialised(finding, &s->initialised[offset], false);
    }
    for (std::size_t i = 0; i < regions.size(); ++i) {
        const Region& r = regions[i];
        if (address < r.begin || end > r.end) continue;
        metrics::note(Space::Global, kind, code, size, address - r.origin, *running);
        Cell* const first = &cells[i][(address - r.begin) / r.granule];
        check_race(finding, first, &cells[i][(end - 1 - r.begin) / r.granule] + 1);
        if (r.initialised) check_initialised(finding, r.initialised + (address - r.begin), true);
        return;
    }
    std::uint64_t constant = address;
    if (kind == Access::Load && dl_iterate_phdr(find_constant, &constant)) return;
    end_with(Kind::Outside);
}

bool ended_a_thread() { return ended; }

void begin_launch(const Image& image) {
    if (!checking) return;
    Dl_info info;
    dladdr(reinterpret_cast<void*>(image.call), &info);
    code_begin = reinterpret_cast<std::uint64_t>(info.dli_fbase);
    shared[0].set(image.shared, std::size_t(image.shared_end - image.shared));
    for (Guard** guard = image.guards; guard != image.guards_end; ++guard)
        shared[0].guard(**guard);
    shared[1].set(dynamic.data(), dynamic.size());
    races::begin_launch(fibers.size());
    metrics::begin_launch(fibers.size());
}

void begin_block() {
    if (!checking) return;
    for (SharedSpace& s : shared) s.forget();
    races::next_interval();
}

void barrier() {
    if (!checking) return;
    const Fiber* first = nullptr;
    for (const Fiber& f : fibers) {
        if (f.state != State::Barrier) continue;
        if (!first) first = &f;
        const Place a = first->wait.at, b = f.wait.at;
        if (a.line == b.line && !std::strcmp(a.file, b.file)) continue;
        Finding finding{};
        finding.kind = Kind::DivergentBarrier;
        finding.thread = thread_index(*first), finding.other_thread = thread_index(f);
        finding.file = a.file, finding.line = std::uint32_t(a.line);
        finding.other_file = b.file, finding.other_line = std::uint32_t(b.line);
        finding.other_block = block_index();
        report(finding);
        break;
    }
    races::next_interval();
}

void warp(std::size_t first, unsigned mask) {
    if (!checking) return;
    races::warp_met(first / 32, mask);
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1u)) continue;
        const Wait& w = fibers[first + lane].wait;
        if (!w.out || mask >> w.source & 1u) continue;
        Finding finding{};
        finding.kind = Kind::ShuffleSource;
        finding.thread = std::uint32_t(first + lane), finding.other_thread = std::uint32_t(first + w.source);
        finding.file = w.at.file, finding.line = std::uint32_t(w.at.line);
        report(finding);
    }
}

void end_block() {
    if (checking) metrics::end_block();
}

void copy_begins(void* to, const void* from, std::uint32_t size, bool inside, void* caller) {
    if (!checking) return;
    if (inside)
        access(from, size, Access::Load, true, caller);
    else  // the lane takes part in the warp's request, and reads nothing
        metrics::request(Space::Global, Access::Load, code_of(caller), size, *running);
    access(to, size, Access::Store, true, caller);
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(to);
    SharedSpace* const space = space_of(address, size);
    if (space)
        std::memset(&space->initialised[address - space->begin], Awaited, size);
    else
        report(at(Kind::NotShared, Access::Store, address, size, code_of(caller)));
}

// From here on it is a store as any other, which a barrier must follow before other threads read.
void copy_lands(void* to, std::uint32_t size, void* caller) {
    if (!checking) return;
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(to);
    SharedSpace* const space = space_of(address, size);
    if (!space) return;
    const std::size_t offset = address - space->begin;
    Finding finding = at(Kind::RaceInBlock, Access::Store, address, size, code_of(caller));
    finding.space = 1;
    std::memset(&space->initialised[offset], Written, size);
    check_race(finding, &space->cells[offset], &space->cells[offset] + size);
}

}  // namespace checker

extern "C" {

// Switches checked mode on for the next launch, over the arrays it is given.
void gpucnn_check_begin(const Region* given, std::size_t count) {
    regions.assign(given, given + count);
    cells.clear();
    for (const Region& r : regions) cells.emplace_back((r.end - r.begin + r.granule - 1) / r.granule);
    findings.clear();
    known.clear();
    ended = false;
    checking = true;
}

// Switches it off; what was found stays until the next launch.
void gpucnn_check_end(Region* filled) {
    checking = false;
    for (std::size_t i = 0; i < regions.size(); ++i)
        for (const Cell& cell : cells[i]) {
            filled[i].loaded += cell.was_read() * regions[i].granule;
            filled[i].stored += cell.was_written() * regions[i].granule;
        }
    cells.clear();
}

const Finding* gpucnn_findings(std::size_t* count) {
    *count = findings.size();
    return findings.data();
}

const Metric* gpucnn_metrics(std::size_t* count) { return metrics::table(count); }

}  // extern "C"
}  // namespace gpucnn_emulator
