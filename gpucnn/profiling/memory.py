"""Peak memory by layer: one more step, in which allocations are counted instead of time."""

import tracemalloc
from collections.abc import Callable
from typing import Any, Protocol

from gpucnn.profiling.devices import cuda_launcher
from gpucnn.profiling.profile import LayerMemory
from gpucnn.profiling.spans import Frame
from gpucnn.training.trainer import Trainer


class Meter(Protocol):
    """Counts the bytes that are held."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def read(self) -> tuple[int, int]:
        """(held now, most since the last read)."""


class HostMeter:
    """Python's and NumPy's allocations, beyond the `base` that was there before."""

    def __init__(self, base: int = 0):
        self._base = base

    def start(self) -> None:
        tracemalloc.start()

    def stop(self) -> None:
        tracemalloc.stop()

    def read(self) -> tuple[int, int]:
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return self._base + held, self._base + peak


class CudaMeter:
    """What CuPy's memory pool has given out."""

    def __init__(self, cupy: Any):
        self._pool = cupy.get_default_memory_pool()
        self._peak = 0
        self._hook = _hook(cupy, self._noted)

    def start(self) -> None:
        self._hook.__enter__()

    def stop(self) -> None:
        self._hook.__exit__(None, None, None)

    def read(self) -> tuple[int, int]:
        held = int(self._pool.used_bytes())
        peak, self._peak = max(self._peak, held), held
        return held, peak

    def _noted(self) -> None:
        self._peak = max(self._peak, int(self._pool.used_bytes()))


def _hook(cupy: Any, noted: Callable[[], None]) -> Any:
    class Noted(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "gpucnn"

        def malloc_postprocess(self, **_: Any) -> None:
            noted()

    return Noted()


def meter_of(trainer: Trainer) -> Meter:
    """The meter of the trainer's device."""
    launcher = cuda_launcher(trainer.ops)
    return HostMeter(_before(trainer)) if launcher is None else CudaMeter(launcher.cupy)


def _before(trainer: Trainer) -> int:
    """Parameters, buffers, gradients, optimizer state and averages: made before any step."""
    optimizer = trainer.optimizer
    arrays = [*trainer.model.state().values(), *optimizer.state().values(), optimizer.grads]
    if trainer.average is not None:
        arrays.append(optimizer.values)  # the averages are as large
    return sum(int(a.nbytes) for a in arrays)


class MemoryObserver:
    """Reads the meter wherever a frame begins or ends; what was held counts for the innermost."""

    def __init__(self, meter: Meter):
        self._meter = meter
        self._open: list[tuple[Frame, int]] = []
        self._peak: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], int] = {}

    def rows(self) -> list[LayerMemory]:
        """A row for each layer's pass, in the order of their beginnings."""
        return [
            LayerMemory(layer, phase, peak, self._kept.get((layer, phase), 0))
            for (layer, phase), peak in self._peak.items()
        ]

    def enter(self, frame: Frame) -> None:
        if frame.kind == "step":
            self._meter.start()
        if frame.kind == "kernel":
            return
        self._open.append((frame, self._read()))

    def exit(self, frame: Frame) -> None:
        if frame.kind == "kernel":
            return
        held = self._read()
        _, before = self._open.pop()
        if frame.kind == "layer":
            self._keep(frame, held - before)
            for outer, _ in reversed(self._open):
                if outer.kind == "layer":
                    # It is inside of the container's own difference as well.
                    self._keep(outer, before - held)
                    break
        if frame.kind == "step":
            self._meter.stop()

    def _read(self) -> int:
        held, peak = self._meter.read()
        innermost = self._open[-1][0] if self._open else None
        if innermost is not None and innermost.kind != "step":
            key = innermost.layer, innermost.phase
            self._peak[key] = max(self._peak.get(key, 0), peak)
        return held

    def _keep(self, frame: Frame, difference: int) -> None:
        key = frame.layer, frame.phase
        self._kept[key] = self._kept.get(key, 0) + difference
