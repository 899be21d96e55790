"""How long launches take on a CUDA device, and what the answer depends on."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.source import assemble

RUNS = 7
SCRATCH = 64 * 2**20
"""Bytes of a memory set that keeps the device busy: more than most GPUs' L2."""
SCRATCHES = 32
"""How many: some half a millisecond on a fast GPU, in which the host launches what is timed."""


def milliseconds(launcher: CudaLauncher, work: Callable[[], None]) -> float:
    """The median of some runs of what `work` launches, by CUDA events."""
    cupy = launcher.cupy
    with launcher.device:
        work()  # compiles it
        scratch = cupy.cuda.alloc(SCRATCH)
        events = [cupy.cuda.Event() for _ in range(RUNS + 1)]
        for _ in range(SCRATCHES):
            scratch.memset_async(0, SCRATCH)
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        events[-1].synchronize()
        return median(float(cupy.cuda.get_elapsed_time(a, b)) for a, b in pairwise(events))


def environment(launcher: CudaLauncher, files: Sequence[str]) -> dict[str, str]:
    """What the time of kernels/`files` depends on besides their arguments."""
    cupy = launcher.cupy
    text = "".join(map(assemble, files))
    return {
        "gpu": cupy.cuda.runtime.getDeviceProperties(launcher.device.id)["name"].decode(),
        "driver": str(cupy.cuda.runtime.driverGetVersion()),
        "cupy": cupy.__version__,
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "kernels": hashlib.sha256(text.encode()).hexdigest()[:16],
    }
