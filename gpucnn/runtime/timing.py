"""How long launches take on a CUDA device, and what the answer depends on."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.source import assemble

RUNS = 7
SCRATCH = 64 * 2**20
"""Bytes of a memory set that keeps the device busy: more than most GPUs' L2."""
SCRATCHES = 32
"""How many: some half a millisecond on a fast GPU, in which the host launches what is timed."""


class CudaEvents:
    """CuPy's events on its current stream, and `size` bytes to write while the host gets ahead."""

    def __init__(self, cupy: Any, size: int) -> None:
        self._cupy, self._size = cupy, size
        self._memory = cupy.cuda.alloc(size)

    def flush(self) -> None:
        """Write the bytes, without waiting: the device is busy, and its L2 full of them."""
        self._memory.memset_async(0, self._size)

    def event(self) -> Any:
        """Mark this place of the queue, without waiting."""
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def milliseconds(self, begin: Any, end: Any) -> float:
        """From one event to another, which is waited for."""
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begin, end))


def milliseconds(launcher: CudaLauncher, work: Callable[[], None]) -> float:
    """The median of some runs of what `work` launches, by CUDA events."""
    with launcher.device:
        work()  # compiles it
        events = CudaEvents(launcher.cupy, SCRATCH)
        for _ in range(SCRATCHES):
            events.flush()
        marks = [events.event()]
        for _ in range(RUNS):
            work()
            marks.append(events.event())
        return median(events.milliseconds(a, b) for a, b in pairwise(marks))


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
