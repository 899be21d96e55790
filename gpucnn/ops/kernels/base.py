"""What the families share: arrays through the launcher, and launches of one scalar type."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.errors import DeviceError
from gpucnn.ops.contract.arrays import Array, ArrayOps
from gpucnn.runtime.launch import Dim, Kernel, Launcher, address

SCALARS = {"float32": "float", "float64": "double"}

THREADS = 256
"""Threads of a block in kernels that do not need another number."""

GRID_STRIDE_BLOCKS = 2048
"""Most blocks of a kernel whose threads loop over the array: enough to fill any GPU."""


class KernelArrayOps(ArrayOps):
    """Arrays and launches of one device."""

    def __init__(self, launcher: Launcher):
        self.launcher = launcher
        self.name, self.memory = launcher.name, launcher.memory
        self.dlpack_device = launcher.dlpack_device

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        self.launcher.not_in_a_graph("asarray allocates")
        return self.launcher.xp.asarray(a, dtype=dtype, order="C")

    def to_numpy(self, a: Array) -> Any:
        self.launcher.not_in_a_graph("to_numpy reads on the host")
        return self.launcher.to_numpy(a)

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self.launcher.not_in_a_graph("an array outside of the arena allocates")
        return self.launcher.xp.empty(shape, dtype)

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self.launcher.not_in_a_graph("an array outside of the arena allocates")
        return self.launcher.xp.zeros(shape, dtype)

    def synchronize(self) -> None:
        self.launcher.not_in_a_graph("synchronize waits on the host")
        self.launcher.synchronize()

    def _from_dlpack(self, a: Any) -> Array:
        return self.launcher.from_dlpack(a)

    def is_array(self, a: Any) -> bool:
        return self.launcher.is_array(a)

    def _check(self, name: str, a: Any, **wanted: Any) -> None:
        """And where it begins: a launch would refuse it, but another may have run before that."""
        super()._check(name, a, **wanted)
        if address(a) % a.dtype.itemsize:
            raise DeviceError(
                f"{name} must begin at a multiple of {a.dtype.itemsize} bytes, got address"
                f" {address(a):#x}: copy it"
            )

    def _launch(
        self,
        file: str,
        grid: Dim,
        block: Dim,
        args: Sequence[Any],
        *,
        dtype: Any,
        symbol: str | None = None,
        macros: Sequence[tuple[str, Any]] = (),
        shared_bytes: int = 0,
    ) -> None:
        """Launch `symbol` (default: the name of the file) of kernels/`file`.cu."""
        defined = (("SCALAR", SCALARS[np.dtype(dtype).name]), *((m, str(v)) for m, v in macros))
        kernel = Kernel(file, symbol or file, tuple(defined))
        self.launcher.launch(kernel, grid, block, args, shared_bytes=shared_bytes)

    def _launch_elements(
        self,
        file: str,
        count: int,
        args: Sequence[Any],
        *,
        dtype: Any,
        symbol: str | None = None,
        macros: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Launch a kernel whose threads loop over `count` elements with the grid's stride."""
        grid, block = (min(-(-count // THREADS), GRID_STRIDE_BLOCKS), 1, 1), (THREADS, 1, 1)
        self._launch(file, grid, block, args, dtype=dtype, symbol=symbol, macros=macros)


def struct(**fields: int) -> Any:
    """A by-value struct of ints, in the order of the struct in common.cuh."""
    dtype = np.dtype([(name, np.int32) for name in fields])
    return np.array([tuple(fields.values())], dtype)
