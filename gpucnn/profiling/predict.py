"""How long a launch would take on a GPU, by a roofline of what the emulator counted of it.

A time here is a model's and never a clock's. A launch takes the longest of four:

- compute: the method's FLOPs at the data sheet's FP32 rate;
- memory: the bytes that come from or go to the GPU's memory, at its bandwidth;
- on-chip: the sectors of global memory that warps ask for and the wavefronts of shared memory,
  32 and 128 bytes each, at 128 bytes a clock and multiprocessor;
- launch: what starting a kernel takes.

Nothing else is modelled: no latency, no instructions beside the arithmetic, no overlap that fails.
"""

from dataclasses import dataclass

from gpucnn.profiling.gpus import Gpu
from gpucnn.profiling.limits import LAUNCH_MS

SECTOR = 32
WAVEFRONT = 128


@dataclass(frozen=True)
class Counts:
    """What one launch does; bytes are those of global memory, in whole sectors."""

    blocks: int
    flops: float
    moved: int
    """Loaded and stored by requests, whether a cache has them or not."""
    least: int
    """Touched at all, each byte once."""
    wavefronts: int


@dataclass(frozen=True)
class Prediction:
    """Nanoseconds of a launch, and the one of the four that they come from."""

    best: int
    """Every byte touched moves once, and shared memory is free."""
    likely: int
    worst: int
    """Every sector asked for comes from the GPU's memory: no cache has any of them."""
    limit: str


def predict(counts: Counts, gpu: Gpu) -> Prediction:
    """What a launch takes on `gpu`.

    Sectors asked for more than once are served by the second-level cache if all that the launch
    touches fits into it, else by the memory; the first time a byte always comes from the memory,
    whatever the kernel before left in the cache. A grid with fewer blocks than there are
    multiprocessors leaves the others idle.
    """
    busy = min(1.0, counts.blocks / gpu.multiprocessors)
    cached = counts.least <= gpu.l2_mib * 2**20
    on_chip = counts.moved + WAVEFRONT * counts.wavefronts
    rates = {
        "compute": counts.flops / (1000 * gpu.fp32_tflops * busy),
        "memory": (counts.least if cached else counts.moved) / gpu.memory_gb_s,
        "on-chip": on_chip / (gpu.on_chip_gb_s * busy),
        "launch": 1e6 * LAUNCH_MS,
    }
    limit = max(rates, key=lambda name: rates[name])
    floor = max(rates["compute"], rates["launch"])
    return Prediction(
        best=round(max(floor, counts.least / gpu.memory_gb_s)),
        likely=round(rates[limit]),
        worst=round(max(rates[limit], counts.moved / gpu.memory_gb_s)),
        limit=limit,
    )


def copied(nbytes: int, gpu: Gpu) -> Prediction:
    """A copy or a fill inside the GPU's memory, of so many bytes read and written."""
    ns = nbytes / gpu.memory_gb_s
    floor = 1e6 * LAUNCH_MS
    time = round(max(ns, floor))
    return Prediction(time, time, time, "memory" if ns > floor else "launch")


def assumptions(gpu: Gpu) -> tuple[str, ...]:
    """What the model takes for granted, in sentences for a reader of its figures."""
    return (
        f"rates are those of the data sheet: {gpu.fp32_tflops:g} TFLOP/s in FP32,"
        f" {gpu.memory_gb_s:,.0f} GB/s, {gpu.multiprocessors} multiprocessors at"
        f" {gpu.clock_ghz:.2f} GHz, {gpu.l2_mib} MiB of L2 ({gpu.source})",
        "a kernel takes the longest of: its method's FLOPs at the FP32 rate; its bytes at the"
        " memory's bandwidth; its sectors and shared-memory wavefronts at 128 bytes a clock and"
        f" multiprocessor (on-chip); {1000 * LAUNCH_MS:g} microseconds to start it (launch)",
        "sectors asked for again come from L2 if all that a launch touches fits there, else from"
        " memory; best: each byte moves once; worst: no cache has anything",
        "a method of several kernels shares its FLOPs out by the bytes that their threads ask for",
        "left out: latency, instructions beside the arithmetic, the host, copies between host and"
        " device",
    )
