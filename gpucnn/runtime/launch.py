"""What a launch is, and its checks, alike for the GPU and the emulator.

A kernel's signature is read from its source, so arguments are checked against what the kernel
really takes: CuPy's RawKernel checks neither count nor type, ignores strides, and passes a Python
int as long long and a float as double.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
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
    def scalar(self) -> str:
        return _C_TYPES[dict(self.macros).get("SCALAR", "float")]


@dataclass(frozen=True)
class KernelParameter:
    """One parameter as the .cu file declares it."""

    name: str
    type: str
    pointer: bool

    def dtype(self, kernel: Kernel) -> str | None:
        """NumPy's name of the type, which may be a macro; None for a struct passed by value."""
        if self.type == "scalar_t":
            return kernel.scalar
        return _C_TYPES.get(dict(kernel.macros).get(self.type, self.type))


@cache
def _source(file: str, folder: Path | None) -> str:
    return assemble(file, folder)


@cache
def _parameters(file: str, symbol: str, folder: Path | None) -> tuple[KernelParameter, ...]:
    text = re.sub(r"//[^\n]*", "", _source(file, folder))
    pattern = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?" + symbol + r"\s*\(([^)]*)\)"
    found = re.search(pattern, text)
    if found is None:
        raise KernelError(f"kernels/{file}.cu defines no kernel {symbol}")
    parameters = []
    for declaration in found[1].split(","):
        match = re.fullmatch(
            r"\s*(?:const\s+)?(\w+)\s*(\*?)\s*(?:__restrict__\s+)?(\w+)\s*", declaration
        )
        if match is None:
            raise KernelError(f"kernels/{file}.cu: cannot read the parameter {declaration.strip()}")
        parameters.append(KernelParameter(match[3], match[1], bool(match[2])))
    return tuple(parameters)


class Launcher(ABC):
    """Makes arrays and launches kernels on one device."""

    name: str
    xp: Any
    """The array module: numpy or cupy."""

    def is_array(self, a: Any) -> bool:
        return isinstance(a, self.xp.ndarray)

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
        if any(size < 1 for size in block) or block[0] * block[1] * block[2] > MAX_THREADS:
            raise ShapeError(f"{kernel.symbol}: a block of {block} is not 1..{MAX_THREADS} threads")
        if any(size < 0 or size > most for size, most in zip(grid, MAX_GRID, strict=True)):
            raise ShapeError(f"{kernel.symbol}: a grid of {grid} is beyond {MAX_GRID}")
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
        dtype = parameter.dtype(kernel)
        what = f"{kernel.symbol}: {parameter.name}"
        if not parameter.pointer:
            if dtype is not None:
                return np.dtype(dtype).type(a)
            if not isinstance(a, np.ndarray) or a.dtype.names is None or a.size != 1:
                raise KernelError(
                    f"{what} must be a {parameter.type} struct, got {type(a).__name__}"
                )
            return a
        if a is None:
            return None
        if not self.is_array(a):
            raise DeviceError(
                f"{what} must be an array of device {self.name!r}, got {type(a).__name__}"
            )
        if a.dtype.name != dtype:
            raise DeviceError(f"{what} must be {dtype}, got {a.dtype.name}")
        if not a.flags.c_contiguous:
            raise DeviceError(f"{what} must be C-contiguous, got strides {a.strides}")
        return a

    @abstractmethod
    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None: ...
