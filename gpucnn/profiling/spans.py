"""What was observed: spans of time, one inside the other, on the host's clock and the device's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gpucnn.profiling.clocks import Clock, DeviceClock, HostClock
from gpucnn.runtime.launch import Dim, Kernel

KINDS = ("step", "data", "layer", "method", "kernel")
PHASES = ("data", "forward", "loss", "backward", "update")

TRANSFERS = ("asarray", "to_numpy", "zeros", "set_grad")
"""Methods that work on the device without one of our kernels: copies and fills."""


class Call(NamedTuple):
    """A method's arguments and result, each array as its `Shaped`."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    result: Any


class Launch(NamedTuple):
    """A kernel's launch."""

    kernel: Kernel
    grid: Dim
    block: Dim
    shared_bytes: int


@dataclass
class Frame:
    """What is going on: a step, a layer's pass, a method of the contract, a kernel."""

    kind: str
    name: str
    """A layer's is its name, a method's and kernel's that of the contract and the .cu file."""
    layer: str = ""
    """The path of the innermost layer, "model" for the whole; "" outside of all."""
    phase: str = "data"
    step: int = 0
    call: Call | None = None
    """Set when a method ends."""
    launch: Launch | None = None


class Observer(Protocol):
    """Whoever wants to know what a training step does. Frames nest."""

    def enter(self, frame: Frame) -> None: ...
    def exit(self, frame: Frame) -> None: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A frame that has ended; nanoseconds on the host's clock.

    `parent` is the place of the span around it in the Recorder's list, -1 for a step. `device` is
    its time on the device, on the same axis; None where the host's time is all there is to it.
    """

    kind: str
    name: str
    layer: str
    phase: str
    step: int
    start_ns: int
    end_ns: int
    parent: int = -1
    device: tuple[int, int] | None = None
    call: Call | None = None
    launch: Launch | None = None

    @property
    def ns(self) -> int:
        """How long the host was in it."""
        return self.end_ns - self.start_ns


@dataclass
class _Open:
    """A span under way: marks of the clocks, resolved when the step has ended."""

    frame: Frame
    parent: int
    start: int
    begun: Any = None
    end: int = 0
    done: Any = None


class Recorder:
    """Keeps the spans of every step that ended, in the order in which they began.

    The device's clock marks steps, kernels and transfers; all its marks are read once, when the
    step is over, so that measuring does not make the host wait inside of it.
    """

    def __init__(self, host: Clock | None = None, device: DeviceClock | None = None):
        self.spans: list[Span] = []
        self._host: Clock = host or HostClock()
        self._device = device
        self._step: list[_Open] = []
        self._stack: list[int] = []

    @property
    def timed_by_device(self) -> bool:
        """Whether a device of its own does the work, and was timed."""
        return self._device is not None

    def enter(self, frame: Frame) -> None:
        if frame.kind == "step":
            # What an interrupted step left behind is not a whole step.
            self._step, self._stack = [], []
            if self._device is not None:
                self._device.begin()
        span = _Open(frame, self._stack[-1] if self._stack else -1, self._host.mark())
        if self._device is not None and _on_device(frame):
            span.begun = self._device.mark()
        self._stack.append(len(self._step))
        self._step.append(span)

    def exit(self, frame: Frame) -> None:
        span = self._step[self._stack.pop()]
        if span.begun is not None and self._device is not None:
            span.done = self._device.mark()
            if frame.kind == "step":
                self._device.wait()
        span.end = self._host.mark()
        if frame.kind == "step":
            self._close()

    def _close(self) -> None:
        timed = [span for span in self._step if span.begun is not None]
        times: Sequence[int] = ()
        if self._device is not None:
            times = self._device.resolve([m for span in timed for m in (span.begun, span.done)])
        pairs = iter(zip(times[::2], times[1::2], strict=True))
        first = len(self.spans)
        for span in self._step:
            frame = span.frame
            self.spans.append(
                Span(
                    frame.kind,
                    frame.name,
                    frame.layer,
                    frame.phase,
                    frame.step,
                    span.start,
                    span.end,
                    -1 if span.parent < 0 else first + span.parent,
                    next(pairs) if span.begun is not None else None,
                    frame.call,
                    frame.launch,
                )
            )
        self._step = []


def _on_device(frame: Frame) -> bool:
    return frame.kind in ("step", "kernel") or frame.name in TRANSFERS


def by_step(spans: Sequence[Span]) -> list[range]:
    """The places of each step's spans, the step itself first."""
    starts = [i for i, span in enumerate(spans) if span.kind == "step"]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(spans)], strict=True)]
