"""The emulator's checked mode: arrays, findings and metrics between NumPy and the checker.

The structs mirror emulator_include/gpucnn_findings.h.
"""

import ctypes
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gpucnn.runtime.emulator_report import Finding
from gpucnn.runtime.emulator_symbols import shared_variables, source_lines
from gpucnn.runtime.memory import HostMemory

_U32, _U64, _TEXT = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
_POISON = 0xFF
GUARD = 256
"""Bytes between two shared variables."""
_CHECKS = (
    "memcheck", "memcheck", "initcheck", "racecheck", "racecheck", "synccheck", "synccheck",
    "racecheck", "memcheck",
)  # fmt: skip
ACCESSES = ("load", "store", "atomic")
SPACES = ("global", "shared")


class RawFinding(ctypes.Structure):
    _fields_: ClassVar[Any] = (
        [("kind", _U32), ("access", _U32), ("address", _U64), ("offset", _U64), ("count", _U64)]
        + [(n, _U32) for n in ("space", "size", "code", "other_code", "thread", "other_thread")]
        + [(n, _U32) for n in ("block", "other_block", "line", "other_line")]
        + [("file", _TEXT), ("other_file", _TEXT)]
    )


class RawMetric(ctypes.Structure):
    _fields_: ClassVar[Any] = (
        [(n, _U32) for n in ("space", "access", "code", "size")]
        + [(n, _U64) for n in ("requests", "units", "bytes")]
    )  # fmt: skip


class RawRegion(ctypes.Structure):
    _fields_: ClassVar[Any] = (
        [(n, _U64) for n in ("begin", "end", "origin")]
        + [("granule", _U32), ("initialised", ctypes.c_void_p), ("loaded", _U64), ("stored", _U64)]
    )  # fmt: skip


@dataclass(frozen=True)
class Array:
    """A kernel's array argument."""

    name: str
    begin: int
    end: int
    origin: int
    itemsize: int


class TrackedNumpy:
    """NumPy, but remembers which arrays came from `empty` and what has been written of them."""

    def __init__(self) -> None:
        self._shadows: dict[int, tuple[int, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float) -> Any:
        return self.track(np.empty(shape, dtype))

    def track(self, a: Any) -> Any:
        """`a` with nothing written into it yet, watched while it is there."""
        # The host may write into it unseen: what is no longer poison has been written.
        a.reshape(-1).view(np.uint8)[...] = _POISON
        key = id(a)
        self._shadows[key] = (a.ctypes.data, np.zeros(a.nbytes, np.uint8))
        weakref.finalize(a, self._shadows.pop, key)
        return a

    def empty_like(self, a: Any) -> Any:
        return self.empty(a.shape, a.dtype)

    def shadow(self, address: int) -> int | None:
        """The address of the byte that says whether the byte at `address` has been written."""
        for begin, shadow in self._shadows.values():
            if begin <= address < begin + shadow.nbytes:
                return int(shadow.ctypes.data) + address - begin
        return None


class TrackedMemory(HostMemory):
    """Memory whose arrays are watched, also where they lie in a block that is used again."""

    def __init__(self, tracked: TrackedNumpy) -> None:
        self._tracked = tracked

    def place(self, block: Any, offset: int, shape: Sequence[int], dtype: Any) -> tuple[Any, Any]:
        a, token = super().place(block, offset, shape, dtype)
        return self._tracked.track(a), token


def arrays_of(names: Iterable[str], args: Iterable[Any]) -> list[Array]:
    """The array arguments; those that overlap as one."""
    found = []
    for name, a in zip(names, args, strict=True):
        if isinstance(a, np.ndarray) and a.dtype.names is None and a.nbytes:
            owner = a
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            begin = a.ctypes.data
            found.append(Array(name, begin, begin + a.nbytes, owner.ctypes.data, a.itemsize))
    merged: list[Array] = []
    for array in sorted(found, key=lambda array: array.begin):
        if merged and array.begin < merged[-1].end:
            last = merged.pop()
            array = Array(
                f"{last.name}, {array.name}", last.begin, max(last.end, array.end), last.origin,
                min(last.itemsize, array.itemsize),
            )  # fmt: skip
        merged.append(array)
    return merged


def regions_of(arrays: Sequence[Array], tracked: TrackedNumpy) -> Any:
    """The arrays as the checker takes them."""
    regions = (RawRegion * len(arrays))()
    for region, a in zip(regions, arrays, strict=True):
        # A cell of the race checker holds the history of one word, or of one byte in byte arrays.
        granule = 4 if a.itemsize % 4 == 0 and a.begin % 4 == 0 else 1
        region.begin, region.end, region.origin, region.granule = a.begin, a.end, a.origin, granule
        region.initialised = tracked.shadow(a.begin)
    return regions


@dataclass(frozen=True)
class Launch:
    """What is needed to put findings into words."""

    kernel: str
    library: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arrays: Sequence[Array]

    def finding(self, raw: Any) -> Finding:
        return Finding(
            check=_CHECKS[raw.kind],
            kernel=self.kernel,
            line=self._place(raw.code, raw.file, raw.line),
            thread=_index(raw.thread, self.block),
            block=_index(raw.block, self.grid),
            address=raw.address,
            size=raw.size,
            text=self._text(raw),
            count=raw.count,
        )

    def _text(self, raw: Any) -> str:
        access = f"{ACCESSES[raw.access]} of {raw.size} bytes"
        other = f"thread {_index(raw.other_thread, self.block)}"
        if raw.kind == 0:
            return f"{access} outside of every array and shared variable, {self._near(raw)}"
        if raw.kind == 1:
            return f"{access} at {raw.address:#x}, which is not a multiple of {raw.size}"
        if raw.kind == 2:
            return f"{access} that nothing has written, {self._near(raw)}"
        if raw.kind == 5:
            return f"a shuffle takes from {other}, which does not take part in it"
        if raw.kind == 7:
            return f"{access}, {self._near(raw)}, while a copy to it is on its way"
        if raw.kind == 8:
            return f"an asynchronous copy to what is not shared memory, {self._near(raw)}"
        where = self._place(raw.other_code, raw.other_file, raw.other_line)
        if raw.kind == 6:
            return f"{other} meets this barrier at another one, {where}"
        if raw.kind == 3:
            what = f"after {other} at {where} with no barrier between them"
        else:
            what = f"and block {_index(raw.other_block, self.grid)} at {where}, one of them writing"
        return f"{access}, {self._near(raw)}, {what}"

    def _near(self, raw: Any) -> str:
        if raw.space == 2:
            return f"byte {raw.offset} of the dynamic shared memory"
        beyond = ""
        for variable in shared_variables(self.library):
            after = raw.offset - variable.offset
            if 0 <= after < variable.size:
                return f"byte {after} of {variable.name}"
            if 0 <= after - variable.size < GUARD:
                return f"{after - variable.size} bytes after {variable.name}"
            if -GUARD <= after < 0:
                beyond = f"{-after} bytes before {variable.name}"
        if beyond:
            return beyond
        address = raw.address
        if address < 2**16:
            return f"{address} bytes from a null pointer"
        for a in self.arrays:
            if a.begin <= address < a.end:
                return f"byte {address - a.begin} of {a.name}"
        for a in self.arrays:
            if a.end <= address < a.end + 2**16:
                return f"{address - a.end} bytes after {a.name}"
            if a.begin - 2**16 <= address < a.begin:
                return f"{a.begin - address} bytes before {a.name}"
        return "far from all of them"

    def _place(self, code: int, file: bytes | None, line: int) -> str:
        if file is not None:
            return f"{file.decode()}:{line}"
        return source_lines(self.library, (code,))[0]


def _index(linear: int, size: tuple[int, int, int]) -> tuple[int, int, int]:
    return linear % size[0], linear // size[0] % size[1], linear // (size[0] * size[1])
