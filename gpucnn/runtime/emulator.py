"""The `emulator` device: the kernels' own .cu files, compiled by g++ and run on the CPU.

For tests and for understanding a kernel; slow, and never a fallback. See docs/emulator.md.
"""

import ctypes
import dataclasses
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.errors import KernelError
from gpucnn.runtime.emulator_build import build_kernel, build_runtime
from gpucnn.runtime.emulator_checked import (
    ACCESSES,
    SPACES,
    Launch,
    RawFinding,
    RawMetric,
    TrackedMemory,
    TrackedNumpy,
    arrays_of,
    regions_of,
)
from gpucnn.runtime.emulator_report import Finding, KernelMetric, LineMetric, table
from gpucnn.runtime.emulator_symbols import source_lines
from gpucnn.runtime.launch import Dim, Kernel, Launcher, refuse_overlaps
from gpucnn.runtime.memory import HostMemory, Recording

# The scheduler's state is the library's own: one launch at a time.
_ONE_LAUNCH = threading.Lock()


class EmulatorLauncher(Launcher):
    """Runs kernels on NumPy arrays, one block at a time, its threads as fibers.

    `folder`: another folder of .cu files than the package's. `checked`: check every access.
    `block_order`: a seed that shuffles the blocks of each launch, None for their natural order.
    """

    name = "emulator"
    xp: Any = np

    def __init__(
        self,
        folder: Path | None = None,
        *,
        checked: bool = False,
        block_order: int | None = None,
    ) -> None:
        self.folder = folder
        self.checked = checked
        self.block_order = block_order
        self.findings: list[Finding] = []
        """Checked mode: what the last launch found."""
        self._lines: Counter[tuple[tuple[str, str, str, str, int], str]] = Counter()
        self._kernels: Counter[tuple[str, str]] = Counter()
        self._tracked = TrackedNumpy()
        self.memory: HostMemory = HostMemory()
        if checked:
            self.xp, self.memory = self._tracked, TrackedMemory(self._tracked)

    def synchronize(self) -> None:
        """A launch has finished when it returns."""

    def launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], *, shared_bytes: int = 0
    ) -> None:
        if self.folder is not None and kernel.folder is None:
            kernel = dataclasses.replace(kernel, folder=self.folder)
        super().launch(kernel, grid, block, args, shared_bytes=shared_bytes)

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        refuse_overlaps(kernel, args)
        recording = self.memory.recording
        if recording is not None:
            recording.add(partial(self._run_now, kernel, grid, block, shared_bytes), args)
        else:
            self._run_now(kernel, grid, block, shared_bytes, *args)

    def _capture(self, work: Callable[[], None]) -> Recording:
        recording = self.memory.recording = Recording()
        try:
            work()
        finally:
            self.memory.recording = None
        return recording

    def _run_now(
        self, kernel: Kernel, grid: Dim, block: Dim, shared_bytes: int, *args: Any
    ) -> None:
        library = load(kernel.file, kernel.source, kernel.macros, self.checked)
        _refuse_large(library, kernel, block)
        with _ONE_LAUNCH:
            run = self._run_checked if self.checked else self._run
            error = run(library, kernel, grid, block, args, shared_bytes)
        found = [str(finding) for finding in self.findings]
        if error is not None:
            found.append(f"synccheck: {error}")
        if found:
            more = [f"... and {len(found) - 10} more places"] if len(found) > 10 else []
            raise KernelError(f"{kernel.symbol}: " + "\n  ".join(found[:10] + more))

    def _run_checked(
        self,
        library: ctypes.CDLL,
        kernel: Kernel,
        grid: Dim,
        block: Dim,
        args: Sequence[Any],
        shared_bytes: int,
    ) -> str | None:
        """Run with every access checked; fills `findings` and the metrics."""
        arrays = arrays_of((p.name for p in kernel.parameters), args)
        regions = regions_of(arrays, self._tracked)
        runtime().gpucnn_check_begin(regions, ctypes.c_size_t(len(regions)))
        try:
            error = self._run(library, kernel, grid, block, args, shared_bytes)
        finally:
            runtime().gpucnn_check_end(regions)
        launch = Launch(kernel.symbol, str(library._name), grid, block, arrays)
        self.findings = [launch.finding(raw) for raw in _table("gpucnn_findings", RawFinding)]
        metrics = _table("gpucnn_metrics", RawMetric)
        lines = source_lines(launch.library, tuple(raw.code for raw in metrics))
        for raw, line in zip(metrics, lines, strict=True):
            space, access = SPACES[raw.space], ACCESSES[raw.access]
            key = (kernel.symbol, line, space, access, int(raw.size))
            for field in ("requests", "units", "bytes"):
                self._lines[key, field] += getattr(raw, field)
            if space == "global":
                moved = "stored" if access == "store" else "loaded"
                self._kernels[kernel.symbol, moved] += 32 * raw.units
        self._kernels[kernel.symbol, "launches"] += 1
        for region in regions:
            self._kernels[kernel.symbol, "minimum_loaded"] += region.loaded
            self._kernels[kernel.symbol, "minimum_stored"] += region.stored
        return error

    @property
    def metrics(self) -> list[LineMetric]:
        """Checked mode: memory requests by kernel and source line, over all launches so far."""
        keys = sorted({key for key, _ in self._lines}, key=_by_line)
        fields = ("requests", "units", "bytes")
        return [LineMetric(*key, *(self._lines[key, f] for f in fields)) for key in keys]

    @property
    def kernel_metrics(self) -> list[KernelMetric]:
        """Checked mode: bytes of global memory by kernel, over all launches so far."""
        fields = ("launches", "loaded", "stored", "minimum_loaded", "minimum_stored")
        names = sorted({name for name, _ in self._kernels})
        return [KernelMetric(name, *(self._kernels[name, f] for f in fields)) for name in names]

    def report(self) -> str:
        """Checked mode: both metrics as a table."""
        return table(self.kernel_metrics, self.metrics)

    def _run(
        self,
        library: ctypes.CDLL,
        kernel: Kernel,
        grid: Dim,
        block: Dim,
        args: Sequence[Any],
        shared_bytes: int,
    ) -> str | None:
        """Run the kernel; the text of a barrier's or warp operation's failure, or None."""
        held = [_address(a) for a in args]
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
        order = self._order(grid)
        error = runtime().gpucnn_run(
            ctypes.byref(ctypes.c_char.in_dll(library, f"gpucnn_image_{kernel.symbol}")),
            pointers,
            (ctypes.c_uint * 3)(*grid),
            (ctypes.c_uint * 3)(*block),
            ctypes.c_size_t(shared_bytes),
            int(kernel.scalar == "float32"),
            None if order is None else order.ctypes.data_as(ctypes.c_void_p),
        )
        return None if error is None else error.decode()

    def _order(self, grid: Dim) -> Any:
        if self.block_order is None:
            return None
        order = np.random.default_rng(self.block_order).permutation(grid[0] * grid[1] * grid[2])
        return order.astype(np.uint32)


def _refuse_large(library: ctypes.CDLL, kernel: Kernel, block: Dim) -> None:
    """KernelError for a block beyond `__launch_bounds__`, which a GPU does not launch."""
    most = ctypes.c_uint.in_dll(library, f"gpucnn_bound_{kernel.symbol}").value
    if block[0] * block[1] * block[2] > most:
        raise KernelError(
            f"{kernel.symbol}: a block of {block} has more than the {most} threads that its"
            " __launch_bounds__ promise"
        )


def _by_line(key: tuple[str, str, str, str, int]) -> tuple[Any, ...]:
    """Line 9 before line 10."""
    numbers = [int(part) if part.isdigit() else 0 for part in re.split(r"(\d+)", key[1])]
    return key[0], re.sub(r"\d+", "", key[1]), numbers, key[2:]


def _table(function: str, row: Any) -> list[Any]:
    """The rows of a table of the checker."""
    count = ctypes.c_size_t()
    get = getattr(runtime(), function)
    get.restype = ctypes.POINTER(row)
    rows = get(ctypes.byref(count))
    return [row.from_buffer_copy(rows[i]) for i in range(count.value)]


def _address(a: Any) -> Any:
    """A ctypes object that holds the argument's bytes."""
    if a is None:
        return ctypes.c_void_p(None)
    if isinstance(a, np.ndarray) and a.dtype.names is None:
        return ctypes.c_void_p(a.ctypes.data)
    data = a.tobytes()
    return ctypes.create_string_buffer(data, len(data))


@cache
def runtime() -> ctypes.CDLL:
    """The library of the scheduler and the checker."""
    library = ctypes.CDLL(str(build_runtime()))
    library.gpucnn_run.restype = ctypes.c_char_p
    return library


@cache
def load(file: str, source: str, macros: tuple[tuple[str, str], ...], checked: bool) -> ctypes.CDLL:
    """The library of a .cu file's text, built where it is not there yet."""
    runtime()
    return ctypes.CDLL(str(build_kernel(file, source, macros, checked=checked)))
