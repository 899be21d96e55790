"""How long one call takes: on a GPU by its own events, on the CPU by the monotonic clock."""

import time
from collections.abc import Callable
from math import ceil
from typing import Any, Protocol

from gpucnn.runtime.timing import CudaEvents

COLD, WARM = "cold", "warm"
"""Whether the L2 cache holds none of the call's arrays, or what a call just before it left."""

FLUSH_BYTES = 1 << 30
"""Written before each repeat: more than any L2 holds. And while the GPU writes, as often as it
takes, the host puts the launches behind it, so that no event waits for Python."""

MOST_FLUSHES = 16


class Timer(Protocol):
    """Events of a device's queue, and something long for it to do."""

    flush_ms: float

    def flush(self) -> None: ...

    def event(self) -> Any: ...

    def milliseconds(self, begin: Any, end: Any) -> float: ...


class CupyTimer(CudaEvents):
    """CuPy's events on its current stream."""

    def __init__(self, cupy: Any, flush: int = FLUSH_BYTES) -> None:
        super().__init__(cupy, flush)
        self.flush_ms = flush_time(self)


class TorchTimer:
    """PyTorch's events on its current stream."""

    def __init__(self, torch: Any, flush: int = FLUSH_BYTES) -> None:
        self._torch = torch
        self._buffer = torch.empty(flush, dtype=torch.uint8, device="cuda")
        self.flush_ms = flush_time(self)

    def flush(self) -> None:
        self._buffer.fill_(1)

    def event(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(begin.elapsed_time(end))


class HostTimer:
    """The monotonic clock, where the host itself computes: there is nothing to keep busy."""

    flush_ms = float("inf")

    def flush(self) -> None:
        """Caches stay as they are."""

    def event(self) -> int:
        return time.perf_counter_ns()

    def milliseconds(self, begin: int, end: int) -> float:
        return (end - begin) / 1e6


class Stopwatch:
    """Times one call, after three that compile, tune and tell how long the host is at it."""

    def __init__(self, call: Callable[[], Any], timer: Timer) -> None:
        self._call, self._timer = call, timer
        call()
        call()
        timer.milliseconds(timer.event(), timer.event())
        began = time.perf_counter()
        call()
        host = 1e3 * (time.perf_counter() - began)
        self._flushes = min(MOST_FLUSHES, ceil(2 * host / timer.flush_ms))

    def once(self, cache: str = COLD) -> float:
        """Milliseconds of one call."""
        timer, warming = self._timer, cache == WARM
        for _ in range(self._flushes * (2 if warming else 1)):
            timer.flush()
        if warming:
            self._call()
        begin = timer.event()
        self._call()
        return timer.milliseconds(begin, timer.event())


def flush_time(timer: Timer) -> float:
    """Milliseconds that a flush keeps the device busy."""
    timer.flush()
    begin = timer.event()
    timer.flush()
    return max(1e-3, timer.milliseconds(begin, timer.event()))
