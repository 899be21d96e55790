"""What a kernel takes of a multiprocessor: registers, spills, shared memory, occupancy.

NVRTC reports it without a GPU.

kernels/budget.json holds what each kernel may take at most; more, or any spill, is a regression.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpucnn.errors import DataError
from gpucnn.runtime import nvrtc
from gpucnn.runtime.registry import Build, threads
from gpucnn.runtime.source import assemble, kernels_folder

BUDGET = "budget.json"


@dataclass(frozen=True)
class Multiprocessor:
    """The limits of one (CUDA C++ Programming Guide, "Compute Capabilities")."""

    threads: int
    blocks: int
    shared: int
    reserved: int
    """Bytes of shared memory that the system takes a block."""
    registers: int = 65536


MULTIPROCESSORS = {
    "sm_75": Multiprocessor(1024, 16, 64 * 1024, 0),
    "sm_80": Multiprocessor(2048, 32, 164 * 1024, 1024),
    "sm_86": Multiprocessor(1536, 16, 100 * 1024, 1024),
    "sm_89": Multiprocessor(1536, 24, 100 * 1024, 1024),
    "sm_90": Multiprocessor(2048, 32, 228 * 1024, 1024),
    "sm_100": Multiprocessor(2048, 32, 228 * 1024, 1024),
    "sm_120": Multiprocessor(1536, 24, 100 * 1024, 1024),
}


@dataclass(frozen=True)
class Usage:
    """What one kernel takes on one architecture."""

    build: Build
    symbol: str
    arch: str
    registers: int
    spilled: int
    """Bytes of spill stores and loads, or of the stack frame if it is larger: where an array is
    indexed by what only the run knows, it lies in the same slow memory."""
    shared: int
    """Static bytes a block."""

    @property
    def key(self) -> str:
        return " ".join(filter(None, (self.symbol, self.build.type, self.build.variant)))

    @property
    def threads(self) -> int:
        return threads(self.symbol, self.build.macros)

    @property
    def occupancy(self) -> float:
        return occupancy(self.arch, self.threads, self.registers, self.shared)


def occupancy(arch: str, block: int, registers: int, shared: int) -> float:
    """The share of a multiprocessor's threads that blocks of `block` threads can keep resident."""
    limits = MULTIPROCESSORS[arch]
    warps = -(-block // 32)
    # Registers are given out to warps in units of 256, and to four warps at a time.
    by_warp = -(-max(registers, 1) * 32 // 256) * 256
    resident = [
        limits.blocks,
        limits.threads // 32 // warps,
        limits.registers // by_warp // 4 * 4 // warps,
        limits.shared // max(1, -(-(shared + limits.reserved) // 128) * 128),
    ]
    return min(resident) * warps * 32 / limits.threads


_ENTRY = re.compile(
    r"Compiling entry function '(?P<symbol>\w+)'.*?"
    r"(?P<frame>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def usages(build: Build, arch: str) -> list[Usage]:
    """Compile one build; what its kernels take, by NVRTC's own report."""
    log = nvrtc.compile_log(assemble(build.file), build.file, build.macros, arch)
    found = {}
    for match in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found[match["symbol"]] = Usage(
            build,
            match["symbol"],
            arch,
            int(match["registers"]),
            max(int(match["frame"]), int(match["stores"]) + int(match["loads"])),
            int(shared[1]) if shared else 0,
        )
    return [found[symbol] for symbol in build.symbols]


def report(builds: Sequence[Build], archs: Sequence[str]) -> Iterator[Usage]:
    """Compile everything, on as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tasks = [pool.submit(usages, build, arch) for build in builds for arch in archs]
        for task in tasks:
            yield from task.result()


def read_budget(path: Path | None = None) -> dict[str, dict[str, int]]:
    """kernel -> the most registers, bytes of shared memory, and spilled bytes (default 0)."""
    path = path or kernels_folder() / BUDGET
    try:
        budget: dict[str, dict[str, int]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the budget {path}: {error}") from error
    return budget


def beyond(usage: Usage, budget: dict[str, dict[str, int]]) -> list[str]:
    """Where a kernel takes more than its budget allows, in words."""
    allowed = budget.get(usage.key)
    if allowed is None:
        return [f"{usage.key}: not in kernels/{BUDGET}"]
    limits = {"registers": allowed["registers"], "shared": allowed["shared"]}
    limits["spilled"] = allowed.get("spilled", 0)
    return [
        f"{usage.key} on {usage.arch}: {name} {getattr(usage, name)}, the budget is {most}"
        for name, most in limits.items()
        if getattr(usage, name) > most
    ]


def budget_of(found: Sequence[Usage]) -> dict[str, dict[str, int]]:
    """The budget that these figures meet, over all their architectures.

    Registers are rounded up to 8, the unit in which a thread gets them.
    """
    budget: dict[str, dict[str, int]] = {}
    for usage in found:
        entry = budget.setdefault(usage.key, {"registers": 0, "shared": 0})
        entry["registers"] = max(entry["registers"], -(-usage.registers // 8) * 8)
        entry["shared"] = max(entry["shared"], usage.shared)
        if usage.spilled:
            entry["spilled"] = max(entry.get("spilled", 0), usage.spilled)
    return dict(sorted(budget.items()))


def write_budget(found: Sequence[Usage], path: Path, *, keep: bool = False) -> None:
    """One kernel a line. With `keep`, what the file has of other kernels stays."""
    budget = budget_of(found)
    if keep and path.exists():
        symbols = {usage.symbol for usage in found}
        others = {k: v for k, v in read_budget(path).items() if k.split()[0] not in symbols}
        budget = dict(sorted({**others, **budget}.items()))
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in budget.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
