"""What a launch is, and its checks, alike for the GPU and the emulator.

A kernel's signature is read from its source, so arguments are checked against what the kernel
really takes: CuPy's RawKernel checks neither count nor type, ignores strides, and passes a Python
int as long long and a float as double.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import index
from typing import Any, Protocol

import numpy as np

from gpucnn.errors import CaptureError, DeviceError, KernelError, ShapeError
from gpucnn.runtime.kernel import Kernel, KernelParameter
from gpucnn.runtime.memory import Memory, address

__all__ = ["Dim", "Graph", "Kernel", "Launcher", "refuse_overlaps"]

Dim = tuple[int, int, int]

MAX_THREADS = 1024
MAX_BLOCK: Dim = (1024, 1024, 64)
MAX_GRID: Dim = (2**31 - 1, 65535, 65535)


@dataclass(frozen=True)
class _Wanted:
    """A parameter as a launch checks it: found once a kernel, for launches are many."""

    what: str
    """How messages call it."""
    type: str
    dtype: "np.dtype[Any]"
    """Of a pointer, its elements'."""
    pointer: bool
    written: bool


@cache
def _wanted(kernel: Kernel) -> tuple[_Wanted, ...]:
    return tuple(
        _Wanted(f"{kernel.symbol}: {p.name}", p.type, _dtype(kernel, p), p.pointer, p.written)
        for p in kernel.parameters
    )


def _dtype(kernel: Kernel, parameter: KernelParameter) -> "np.dtype[Any]":
    name = kernel.dtype(parameter.type)
    if name is not None:
        return np.dtype(name)
    fields = kernel.structs.get(parameter.type)
    if fields is None:
        raise KernelError(
            f"{kernel.symbol}: {parameter.name}: kernels/{kernel.file}.cu defines no struct"
            f" {parameter.type}"
        )
    return np.dtype([(field, kernel.dtype(c_type)) for field, c_type in fields], align=True)


class Graph(Protocol):
    """Launches and copies that were captured."""

    def launch(self) -> None:
        """Do them all, in their order, as part of what the device is asked to do."""


class Launcher(ABC):
    """Makes arrays and launches kernels on one device."""

    name: str
    xp: Any
    """The array module: numpy or cupy."""
    dlpack_device: tuple[int, int] = (1, 0)
    memory: Memory
    """What arenas take their blocks from."""
    capturing = False
    """Whether launches are gathered into a graph instead of run."""
    copies_asynchronously = True
    """Whether the copies of async.cuh are asynchronous: sm_80 and newer."""
    max_shared_bytes = 227 * 1024
    """Most dynamic shared memory of a block: that of sm_90, unless the device knows better."""

    def is_array(self, a: Any) -> bool:
        return isinstance(a, self.xp.ndarray)

    def to_numpy(self, a: Any) -> Any:
        """An array of the device on the host; waits for the launches that write it."""
        return a

    def from_dlpack(self, a: Any) -> Any:
        """A view of another library's array in this device's memory."""
        return np.from_dlpack(a)

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for every launch so far."""

    def capture(self, work: Callable[[], None]) -> Graph:
        """Gather what `work` launches and copies into a graph; nothing of it is run.

        Numbers and structs stay what they are now, arrays are taken by address: whoever launches
        the graph keeps what lies there. Raises CaptureError where `work` does what a graph cannot
        hold: reads or waits on the host, or allocates.
        """
        self.capturing = True
        try:
            return self._capture(work)
        finally:
            self.capturing = False

    def not_in_a_graph(self, what: str) -> None:
        """Raise CaptureError, saying that this does `what`, while a graph is captured."""
        if self.capturing:
            raise CaptureError(f"{what}, which a CUDA graph cannot hold")

    def launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], *, shared_bytes: int = 0
    ) -> None:
        """Check everything, then run `kernel` over `grid` blocks of `block` threads.

        `args` are device arrays, None for a null pointer, numbers, or a size-1 structured NumPy
        array for a struct. Nothing is launched for an empty grid. Raises KernelError where the
        arguments are not the kernel's, DeviceError for an array it cannot take, ShapeError for a
        grid or block beyond the limits.
        """
        _check_sizes(kernel, grid, block)
        if not 0 <= shared_bytes <= self.max_shared_bytes:
            raise ShapeError(
                f"{kernel.symbol}: {shared_bytes} bytes of shared memory a block are beyond the"
                f" {self.max_shared_bytes} of device {self.name!r}: use a smaller tile"
            )
        wanted = kernel.parameters
        if len(args) != len(wanted):
            raise KernelError(
                f"{kernel.symbol} takes {len(wanted)} arguments"
                f" ({', '.join(p.name for p in wanted)}), got {len(args)}"
            )
        cast = [self._cast(w, a) for w, a in zip(_wanted(kernel), args, strict=True)]
        if 0 not in grid:
            self._launch(kernel, grid, block, cast, shared_bytes)

    def _cast(self, wanted: "_Wanted", a: Any) -> Any:
        if wanted.pointer:
            return None if a is None else self._array(wanted, a)
        return _struct(wanted, a) if wanted.dtype.names else _scalar(wanted.what, wanted.dtype, a)

    def _array(self, wanted: "_Wanted", a: Any) -> Any:
        what = wanted.what
        if not self.is_array(a):
            raise DeviceError(
                f"{what} must be an array of device {self.name!r}, got {type(a).__name__}"
            )
        if a.dtype != wanted.dtype:
            raise DeviceError(
                f"{what} must be {wanted.dtype} in native byte order, got {a.dtype.str}"
            )
        if not a.flags.c_contiguous:
            raise DeviceError(f"{what} must be C-contiguous, got strides {a.strides}")
        if address(a) % a.dtype.itemsize:
            raise DeviceError(
                f"{what} must begin at a multiple of {a.dtype.itemsize} bytes, got address"
                f" {address(a):#x}: copy it"
            )
        if wanted.written and isinstance(a, np.ndarray) and not a.flags.writeable:
            raise DeviceError(f"{what} is written by the kernel, but is read-only: copy it")
        return a

    @abstractmethod
    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None: ...

    def _capture(self, work: Callable[[], None]) -> Graph:
        raise CaptureError(f"device {self.name!r} has no graphs")


def refuse_overlaps(kernel: Kernel, args: Sequence[Any]) -> None:
    """KernelError where an array that `kernel` writes overlaps one behind a `__restrict__`.

    There the compiler may keep a number in a register, or read it through a cache that hears of no
    store: on a GPU the results would be wrong now and then.
    """
    arrays = [
        (address(a), address(a) + a.nbytes, p)
        for p, a in zip(kernel.parameters, args, strict=True)
        if p.pointer and a is not None and a.nbytes
    ]
    for i, (begin, end, one) in enumerate(arrays):
        for low, high, other in arrays[:i]:
            promised = one.restrict or other.restrict
            if promised and (one.written or other.written) and begin < high and low < end:
                raise KernelError(
                    f"{kernel.symbol}: {other.name} and {one.name} overlap, and the kernel writes"
                    " one of them: give it arrays apart, or take __restrict__ from both"
                )


def _check_sizes(kernel: Kernel, grid: Dim, block: Dim) -> None:
    threads = block[0] * block[1] * block[2]
    if any(not 1 <= n <= most for n, most in zip(block, MAX_BLOCK, strict=True)):
        raise ShapeError(f"{kernel.symbol}: a block of {block} is not within 1 and {MAX_BLOCK}")
    if threads > MAX_THREADS:
        raise ShapeError(f"{kernel.symbol}: a block of {block} has more than {MAX_THREADS} threads")
    if any(not 0 <= n <= most for n, most in zip(grid, MAX_GRID, strict=True)):
        raise ShapeError(f"{kernel.symbol}: a grid of {grid} is not within 0 and {MAX_GRID}")


def _scalar(what: str, kind: "np.dtype[Any]", a: Any) -> Any:
    """A number as the C type takes it; integers are never rounded or wrapped."""
    try:
        if isinstance(a, str):
            raise TypeError
        if kind.kind == "f":
            with np.errstate(over="ignore"):
                return kind.type(float(a))
        number = index(a)
    except (TypeError, ValueError):
        raise KernelError(f"{what} must be a number for {kind}, got {a!r}") from None
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    if not low <= number <= high:
        raise KernelError(f"{what} must fit into {kind}, got {number}")
    return kind.type(number)


def _struct(wanted: "_Wanted", a: Any) -> Any:
    """A size-1 structured array whose fields are those of the C struct, in name, type and order."""
    if not isinstance(a, np.ndarray) or a.dtype.names is None or a.size != 1:
        raise KernelError(f"{wanted.what} must be a {wanted.type} struct, got {type(a).__name__}")
    if a.dtype != wanted.dtype:
        raise KernelError(
            f"{wanted.what} must be a {wanted.type} struct of {wanted.dtype.descr},"
            f" got {a.dtype.descr}"
        )
    return a
