"""A device with a queue, in made-up time: launches return at once, and work is done later."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.launch import Kernel

LAUNCH_NS = 5_000
KERNEL_NS = 100_000
RETURN_NS = 8_000


class Timeline:
    """The host's time, and when the device will have done all that was launched."""

    def __init__(self) -> None:
        self.host = 0
        self.queue = 0

    def launch(self, ns: int = KERNEL_NS) -> None:
        self.host += LAUNCH_NS
        self.queue = max(self.queue, self.host) + ns

    def synchronize(self) -> None:
        self.host = max(self.host, self.queue) + RETURN_NS


class HostTime:
    """The host's clock of a timeline; reading it takes a little while."""

    def __init__(self, timeline: Timeline, step: int = 100) -> None:
        self.timeline, self.step = timeline, step

    def mark(self) -> int:
        self.timeline.host += self.step
        return self.timeline.host


class DeviceTime:
    """Its device's clock: a mark is passed when the queue has come to it."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    def begin(self) -> None:
        self.timeline.synchronize()

    def mark(self) -> int:
        return max(self.timeline.queue, self.timeline.host)

    def wait(self) -> None:
        self.timeline.synchronize()

    def resolve(self, marks: Sequence[Any]) -> list[int]:
        return list(marks)


class Launcher:
    """Puts a kernel into the queue."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    def launch(
        self, kernel: Kernel, grid: Any, block: Any, args: Any, *, shared_bytes: int = 0
    ) -> None:
        self.timeline.launch()

    def synchronize(self) -> None:
        self.timeline.synchronize()


class QueueOps(NumpyOps):
    """NumPy's results, a launch for each method; reading a result waits for the queue."""

    name = "queue"

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.launcher = Launcher(self.timeline)

    def to_numpy(self, a: Any) -> Any:
        self.timeline.synchronize()
        return np.asarray(a)

    def synchronize(self) -> None:
        self.timeline.synchronize()


def _launching(name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: QueueOps, *args: Any) -> Any:
        kernel = Kernel(name, name, (("SCALAR", "float"),))
        self.launcher.launch(kernel, (1, 1, 1), (64, 1, 1), args)
        return compute(self, *args)

    return method


for _name in Ops.__abstractmethods__:
    if _name.startswith("_"):
        setattr(QueueOps, _name, _launching(_name[1:], getattr(NumpyOps, _name)))
