"""The clocks of the host and of a CUDA device, in nanoseconds on one axis."""

import time
from collections.abc import Sequence
from typing import Any, Protocol


class Clock(Protocol):
    """Tells the time."""

    def mark(self) -> int: ...


class DeviceClock(Protocol):
    """Tells when a device's queue came to a place; marks are read after the step."""

    def begin(self) -> None:
        """Wait for the device, and note the time that both clocks share."""

    def mark(self) -> Any:
        """Mark this place of the queue, without waiting."""

    def wait(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def resolve(self, marks: Sequence[Any]) -> list[int]:
        """When the device came to each mark, on the host's axis; call `wait` before."""


class HostClock:
    """The host's monotonic clock."""

    def mark(self) -> int:
        return time.perf_counter_ns()


class CudaClock:
    """CUDA events on CuPy's current stream.

    `begin` waits until the device is idle and marks both clocks: from then on a time of the device
    is that of the host plus what the events say has elapsed. An event's time is good to about half
    a microsecond.
    """

    def __init__(self, cupy: Any, host: Clock | None = None):
        self._cuda = cupy.cuda
        self._host: Clock = host or HostClock()
        self._origin: Any = None
        self._origin_ns = 0

    def begin(self) -> None:
        self.wait()
        self._origin = self.mark()
        self._origin_ns = self._host.mark()

    def mark(self) -> Any:
        event = self._cuda.Event()
        event.record()
        return event

    def wait(self) -> None:
        self._cuda.get_current_stream().synchronize()

    def resolve(self, marks: Sequence[Any]) -> list[int]:
        elapsed = self._cuda.get_elapsed_time
        return [self._origin_ns + round(elapsed(self._origin, mark) * 1e6) for mark in marks]
