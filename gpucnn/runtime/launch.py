"""What a launch is, and its checks, alike for the GPU and the emulator.

A kernel's signature is read from its source, so arguments are checked against what the kernel
really takes: CuPy's RawKernel checks neither count nor type, ignores strides, and passes a Python
int as long long and a float as double.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gpucnn.errors import DeviceError, KernelError, ShapeError
from gpucnn.runtime.source import assemble

Dim = tuple[int, int, int]

_C_TYPES = {
    "bool": "bool",
    "int": "int32",
    "uint8": "uint8",
    "uint32": "uint32",
    "uint64": "uint64",
    "float": "float32",
    "double": "float64",
}
MAX_THREADS = 1024
MAX_BLOCK: Dim = (1024, 1024, 64)
MAX_GRID: Dim = (2**31 - 1, 65535, 65535)


@dataclass(frozen=True)
class Kernel:
    """A symbol of kernels/`file`.cu, compiled with macros such as (("SCALAR", "float"),)."""

    file: str
    symbol: str
    macros: tuple[tuple[str, str], ...]
    folder: Path | None = None
    """Another folder than the package's, for a changed copy."""

    @property
    def source(self) -> str:
        return _source(self.file, self.folder)

    @property
    def parameters(self) -> tuple["KernelParameter", ...]:
        return _parameters(self.file, self.symbol, self.folder)

    @property
    def structs(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """The structs of the source: name -> its fields as (name, type)."""
        return _structs(self.file, self.folder)

    def dtype(self, c_type: str) -> str | None:
        """NumPy's name of a C type, which may be a macro; None for a struct."""
        if c_type == "scalar_t":
            return self.scalar
        return _C_TYPES.get(dict(self.macros).get(c_type, c_type))

    @property
    def scalar(self) -> str:
        return _C_TYPES[dict(self.macros).get("SCALAR", "float")]


@dataclass(frozen=True)
class KernelParameter:
    """One parameter as the .cu file declares it."""

    name: str
    type: str
    pointer: bool
    written: bool
    """Whether it points to what the kernel may write."""


@cache
def _source(file: str, folder: Path | None) -> str:
    return assemble(file, folder)


@cache
def _code(file: str, folder: Path | None) -> str:
    """The source without comments."""
    return re.sub(r"//[^\n]*", "", _source(file, folder))


@cache
def _parameters(file: str, symbol: str, folder: Path | None) -> tuple[KernelParameter, ...]:
    pattern = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?" + symbol + r"\s*\(([^)]*)\)"
    found = re.search(pattern, _code(file, folder))
    if found is None:
        raise KernelError(f"kernels/{file}.cu defines no kernel {symbol}")
    parameters = []
    for declaration in found[1].split(","):
        match = re.fullmatch(
            r"\s*(const\s+)?(\w+)\s*(\*?)\s*(?:__restrict__\s+)?(\w+)\s*", declaration
        )
        if match is None:
            raise KernelError(f"kernels/{file}.cu: cannot read the parameter {declaration.strip()}")
        const, c_type, pointer, name = match.groups()
        parameters.append(KernelParameter(name, c_type, bool(pointer), not const))
    return tuple(parameters)


@cache
def _structs(file: str, folder: Path | None) -> Mapping[str, tuple[tuple[str, str], ...]]:
    structs = {}
    for name, body in re.findall(r"\bstruct (\w+) \{([^{}]*)\};", _code(file, folder)):
        lines = [line.split(None, 1) for line in body.split(";") if line.strip()]
        structs[name] = tuple(
            (field.strip(), c_type) for c_type, fields in lines for field in fields.split(",")
        )
    return MappingProxyType(structs)


def address(a: Any) -> int:
    """Where the elements of a NumPy or CuPy array begin."""
    return int(a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr)


class Launcher(ABC):
    """Makes arrays and launches kernels on one device."""

    name: str
    xp: Any
    """The array module: numpy or cupy."""
    max_shared_bytes = 227 * 1024
    """Most dynamic shared memory of a block: that of sm_90, unless the device knows better."""

    def is_array(self, a: Any) -> bool:
        return isinstance(a, self.xp.ndarray)

    def to_numpy(self, a: Any) -> Any:
        """An array of the device on the host; waits for the launches that write it."""
        return a

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for every launch so far."""

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
        cast = [self._cast(kernel, p, a) for p, a in zip(wanted, args, strict=True)]
        if 0 not in grid:
            self._launch(kernel, grid, block, cast, shared_bytes)

    def _cast(self, kernel: Kernel, parameter: KernelParameter, a: Any) -> Any:
        dtype = kernel.dtype(parameter.type)
        what = f"{kernel.symbol}: {parameter.name}"
        if parameter.pointer:
            return None if a is None else self._array(what, dtype, parameter.written, a)
        return (
            _struct(what, kernel, parameter.type, a) if dtype is None else _scalar(what, dtype, a)
        )

    def _array(self, what: str, dtype: str | None, written: bool, a: Any) -> Any:
        if not self.is_array(a):
            raise DeviceError(
                f"{what} must be an array of device {self.name!r}, got {type(a).__name__}"
            )
        if a.dtype.name != dtype or not a.dtype.isnative:
            raise DeviceError(f"{what} must be {dtype} in native byte order, got {a.dtype.str}")
        if not a.flags.c_contiguous:
            raise DeviceError(f"{what} must be C-contiguous, got strides {a.strides}")
        if address(a) % a.dtype.itemsize:
            raise DeviceError(
                f"{what} must begin at a multiple of {a.dtype.itemsize} bytes, got address"
                f" {address(a):#x}: copy it"
            )
        if written and isinstance(a, np.ndarray) and not a.flags.writeable:
            raise DeviceError(f"{what} is written by the kernel, but is read-only: copy it")
        return a

    @abstractmethod
    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None: ...


def _check_sizes(kernel: Kernel, grid: Dim, block: Dim) -> None:
    threads = block[0] * block[1] * block[2]
    if any(not 1 <= n <= most for n, most in zip(block, MAX_BLOCK, strict=True)):
        raise ShapeError(f"{kernel.symbol}: a block of {block} is not within 1 and {MAX_BLOCK}")
    if threads > MAX_THREADS:
        raise ShapeError(f"{kernel.symbol}: a block of {block} has more than {MAX_THREADS} threads")
    if any(not 0 <= n <= most for n, most in zip(grid, MAX_GRID, strict=True)):
        raise ShapeError(f"{kernel.symbol}: a grid of {grid} is not within 0 and {MAX_GRID}")


def _scalar(what: str, dtype: str, a: Any) -> Any:
    """A number as the C type takes it; integers are never rounded or wrapped."""
    kind = np.dtype(dtype)
    try:
        if isinstance(a, str):
            raise TypeError
        if kind.kind == "f":
            with np.errstate(over="ignore"):
                return kind.type(float(a))
        number = index(a)
    except (TypeError, ValueError):
        raise KernelError(f"{what} must be a number for {dtype}, got {a!r}") from None
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    if not low <= number <= high:
        raise KernelError(f"{what} must fit into {dtype}, got {number}")
    return kind.type(number)


def _struct(what: str, kernel: Kernel, c_type: str, a: Any) -> Any:
    """A size-1 structured array whose fields are those of the C struct, in name, type and order."""
    fields = kernel.structs.get(c_type)
    if fields is None:
        raise KernelError(f"{what}: kernels/{kernel.file}.cu defines no struct {c_type}")
    if not isinstance(a, np.ndarray) or a.dtype.names is None or a.size != 1:
        raise KernelError(f"{what} must be a {c_type} struct, got {type(a).__name__}")
    wanted = np.dtype([(name, kernel.dtype(field)) for name, field in fields], align=True)
    if a.dtype != wanted:
        raise KernelError(
            f"{what} must be a {c_type} struct of {wanted.descr}, got {a.dtype.descr}"
        )
    return a
