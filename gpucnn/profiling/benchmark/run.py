"""The benchmark itself: choose the cases, check each, time it beside PyTorch, note what was not."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from gpucnn.errors import ConfigError, GpucnnError, ShapeError
from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import Case
from gpucnn.profiling.benchmark.check import WrongResultError, check
from gpucnn.profiling.benchmark.device import Device
from gpucnn.profiling.benchmark.makers import MAKERS, Table
from gpucnn.profiling.benchmark.results import (
    FAILED,
    LEFT_OUT,
    OURS,
    TIMED,
    TORCH,
    WRONG,
    Row,
    Timing,
)
from gpucnn.profiling.benchmark.small import for_loops, shrunk
from gpucnn.profiling.benchmark.timers import Stopwatch, Timer
from gpucnn.profiling.benchmark.torch_calls import torch_call, torch_drawer, use_mode
from gpucnn.profiling.benchmark.works import Listener
from gpucnn.profiling.devices import describe
from gpucnn.profiling.profile import Ceilings
from gpucnn.profiling.work import work

LEAST_REPEATS = 7
"""Fewer have no quartiles worth the name: noise would seem to move (compare.py)."""

WARMUP = 4
"""Calls that are not counted: the first, which tells FLOPs and bytes, and the stopwatch's."""

SLOWER = 3
"""A call is expected to take so many times what the ceilings allow."""

COPIES = 3
"""Arguments, results and what is needed in between, in times of a case's bytes; as many again for
PyTorch."""


class Planned(NamedTuple):
    """A case to time, the same with fewer images, and one for the reference's loops, to check."""

    case: Case
    few: Case
    tiny: Case | None


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long."""

    repeats: int = 15
    max_seconds: float = 10.0
    """For one row: beyond it there are LEAST_REPEATS and no more, or none by the estimate."""
    max_bytes: int | None = None
    """None: half of the memory that is free."""
    images: int | None = None
    """Most images of a shape, None: as many as it says."""
    only: str = ""
    """A regular expression that is sought in "method shape"."""

    def check(self) -> None:
        """ConfigError for a value that makes no sense."""
        if self.repeats < LEAST_REPEATS:
            raise ConfigError(f"--repeats must be at least {LEAST_REPEATS}, got {self.repeats}")
        if not self.max_seconds > 0:
            raise ConfigError(f"--max-seconds must be above 0, got {self.max_seconds:g}")
        for option, value in (("--max-bytes", self.max_bytes), ("--images", self.images)):
            if value is not None and value < 1:
                raise ConfigError(f"{option} must be at least 1, got {value}")
        try:
            re.compile(self.only)
        except re.error as error:
            raise ConfigError(
                f"--only must be a regular expression, got {self.only!r}: {error}"
            ) from error


def chosen(table: Table, settings: Settings) -> list[Planned]:
    """The cases that `only` leaves, with their small ones; ConfigError where there are none."""
    settings.check()
    planned = []
    for kind, shapes in table.items():
        for name, sizes in shapes.items():
            planned += _planned(kind, name, tuple(sizes), settings.images)
    found = [each for each in planned if re.search(settings.only, str(each.case))]
    if not found:
        methods = ", ".join(sorted({each.case.method for each in planned}))
        raise ConfigError(
            f"--only {settings.only!r} is found in no method and shape; the methods are {methods}"
        )
    return found


def _planned(kind: str, name: str, sizes: tuple[int, ...], images: int | None) -> list[Planned]:
    if images is not None and kind != "arenas":
        sizes = (min(sizes[0], images), *sizes[1:])
    make = MAKERS[kind]
    try:
        few, tiny = make(name, shrunk(kind, name, sizes)), for_loops(kind, sizes)
        row = list(zip(make(name, sizes), few, strict=True))
        loops = [None] * len(row) if tiny is None else list(make(name, tiny))
        return [Planned(*some, small) for some, small in zip(row, loops, strict=True)]
    except ShapeError as error:
        raise ShapeError(f"{kind}.{name} {list(sizes)}: {error}") from error


class Bench:
    """A device with its ceilings, the cpu to check against, and PyTorch or None."""

    def __init__(
        self, device: Device, cpu: Ops, torch: Any, ceilings: Ceilings, settings: Settings
    ) -> None:
        self._device, self._cpu, self._torch = device, cpu, torch
        self._ceilings, self._settings = ceilings, settings
        self._timers: dict[str, Timer] = {OURS: device.timer()}
        if torch is not None:
            self._timers[TORCH] = device.torch_timer(torch)
            use_mode(torch, "fp32")

    def row(self, planned: Planned) -> Row:
        """Check and time one case. What raises is this row's note and no other's."""
        case, few, tiny = planned
        known: dict[str, Any] = {"method": case.method, "shape": case.shape, "sizes": case.sizes}
        reason = self._too_much(case)
        if reason:
            return Row(**known, status=LEFT_OUT, note=reason)
        try:
            checked = check(few, self._device.ops, self._cpu, self._torch, tiny)
            known |= asdict(checked)
            return Row(**known, status=TIMED, **self._timed(case))
        except WrongResultError as error:
            return Row(**known, status=WRONG, note=str(error))
        except (GpucnnError, MemoryError, RuntimeError) as error:
            # RuntimeError: what CuPy's driver and PyTorch raise.
            return Row(**known, status=FAILED, note=f"{type(error).__name__}: {error}")
        finally:
            self._device.release(self._torch)

    def _too_much(self, case: Case) -> str:
        """Why a case is left out, by an estimate; "" where it is not."""
        best, settings = self._ceilings, self._settings
        seconds = case.flops / best.gemm_tflops / 1e12 + case.bytes / best.copy_gb_s / 1e9
        each = WARMUP + LEAST_REPEATS * (2 * len(self._device.caches) - 1)
        calls = each * len(self._timers)
        total = SLOWER * seconds * calls
        if total > settings.max_seconds:
            return (
                f"about {total:.0f} s for {calls} calls, --max-seconds is {settings.max_seconds:g}"
            )
        needed = COPIES * case.bytes * len(self._timers)
        most, why = settings.max_bytes, f"--max-bytes is {settings.max_bytes}"
        if most is None:
            most = self._device.free_bytes() // 2
            why = f"half of the free memory is {most / 2**30:.1f} GiB"
        return f"about {needed / 2**30:.1f} GiB, {why}" if needed > most else ""

    def _timed(self, case: Case) -> dict[str, Any]:
        listener: Any = Listener(self._device.ops, case.method)
        calls = {OURS: case.prepare(listener, self._device.draw())}
        calls[OURS]()
        least = work(case.method, listener.heard)
        if self._torch is not None:
            draw = torch_drawer(self._torch, "fp32", self._device.torch_device)
            call = torch_call(self._torch, case, draw, "fp32")
            if call is not None:
                calls[TORCH] = call
        watches = {by: Stopwatch(call, self._timers[by]) for by, call in calls.items()}
        times: dict[tuple[str, str], list[float]] = {}
        # In turn, so that whatever else the machine does meets all of them.
        began = time.monotonic()
        for done in range(self._settings.repeats):
            late = time.monotonic() - began > self._settings.max_seconds
            if late and done >= LEAST_REPEATS:
                break
            for cache in self._device.caches:
                for by, watch in watches.items():
                    times.setdefault((by, cache), []).append(watch.once(cache))
        found = tuple(Timing.of(*key, values) for key, values in times.items())
        return {"flops": least.flops, "bytes": least.bytes, "times": found}


def facts(
    device: Device, torch: Any, settings: Settings, more: Mapping[str, Any]
) -> dict[str, Any]:
    """What a result says of where and how it came about."""
    found = describe(device.ops)
    versions = {**found["versions"]}
    if torch is not None:
        versions["torch"] = f"{torch.__version__}, {torch.get_num_threads()} threads"
    return {
        **found,
        "versions": versions,
        "caches": list(device.caches),
        "load": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "repeats": settings.repeats,
        "images": settings.images,
        **more,
    }
