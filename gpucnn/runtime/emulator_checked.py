"""The emulator's checked mode: arrays, findings and metrics between NumPy and the checker.

The structs mirror emulator_include/gpucnn_findings.h.
"""

import ctypes
import re
import shutil
import subprocess
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from gpucnn.errors import DeviceError

_U32, _U64, _TEXT = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
_POISON = 0xFF
_CHECKS = ("memcheck", "memcheck", "initcheck", "racecheck", "racecheck", "synccheck", "synccheck")
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
class Finding:
    """One fault at one place of a kernel, and how often it came up."""

    check: str
    """memcheck, initcheck, racecheck or synccheck."""
    kernel: str
    line: str
    """Where in the source, as kernels/x.cu:12."""
    thread: tuple[int, int, int]
    block: tuple[int, int, int]
    address: int
    size: int
    text: str
    count: int

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        place = f"{self.line}, thread {self.thread} of block {self.block}"
        return f"{self.check}: {place}: {self.text}{times}"


@dataclass(frozen=True)
class LineMetric:
    """How the accesses of one source line use memory, over all launches so far."""

    kernel: str
    line: str
    space: str
    """global or shared."""
    access: str
    """load, store or atomic."""
    size: int
    """Bytes of one lane's access."""
    requests: int
    """Accesses of a warp."""
    units: int
    """32-byte sectors of global memory, wavefronts of shared memory."""
    bytes: int
    """Bytes that the lanes asked for."""

    @property
    def per_request(self) -> float:
        return self.units / self.requests


@dataclass(frozen=True)
class KernelMetric:
    """Global memory that a kernel moves, beside the bytes it touches: what it must move."""

    kernel: str
    launches: int
    loaded: int
    stored: int
    minimum_loaded: int
    minimum_stored: int


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
        a = np.empty(shape, dtype)
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
        if raw.space == 1:
            for variable in shared_variables(self.library):
                if variable.offset <= raw.offset < variable.offset + variable.size:
                    return f"byte {raw.offset - variable.offset} of {variable.name}"
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


@dataclass(frozen=True)
class SharedVariable:
    """A __shared__ variable: its place in the kernel's library."""

    name: str
    offset: int
    size: int
    section: str


@cache
def shared_variables(library: str) -> list[SharedVariable]:
    """The variables of a kernel's library, from its symbol table; static ones of functions."""
    text = _tool("objdump", "-t", "-C", library)
    pattern = r"^([0-9a-f]+) .{6}O (\S+)\s+([0-9a-f]+)\s+(\w+)(?:\(.*\))?::(\w+)$"
    return [
        SharedVariable(name, int(offset, 16), int(size, 16), section)
        for offset, section, size, _, name in re.findall(pattern, text, flags=re.MULTILINE)
    ]


def _tool(name: str, *arguments: str) -> str:
    """What a program of binutils prints."""
    found = shutil.which(name)
    if found is None:
        raise DeviceError(f"checked mode needs {name}: install binutils")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=True).stdout


def _index(linear: int, size: tuple[int, int, int]) -> tuple[int, int, int]:
    return linear % size[0], linear // size[0] % size[1], linear // (size[0] * size[1])


@cache
def source_lines(library: str, codes: tuple[int, ...]) -> list[str]:
    """Where each code offset of a library comes from; an inlined helper with its caller."""
    if not codes:
        return []
    text = _tool("addr2line", "-e", library, "-i", "-a", *map(hex, codes))
    lines = []
    for part in re.split(r"^0x[0-9a-f]+\n", text, flags=re.MULTILINE)[1:]:
        places = re.findall(r"(kernels/[\w.]+:\d+)", part)
        inner, outer = (places[0], places[-1]) if places else ("an unknown line",) * 2
        lines.append(inner if inner == outer else f"{inner} (from {outer})")
    return lines
