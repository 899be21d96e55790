"""A device on which nothing is computed: for what a step would need of memory.

All arrays lie on one piece of memory, as large as the largest. They have the right shapes and
dtypes, and any contents.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from gpucnn.runtime.launch import Dim, Kernel, Launcher
from gpucnn.runtime.memory import HostMemory


class DryMemory(HostMemory):
    """Blocks that are none: every array begins at the same place."""

    apart = False

    def __init__(self) -> None:
        self._size = 0
        self._room: Any = None

    def block(self, size: int) -> Any:
        return size

    def place(self, block: Any, offset: int, shape: Sequence[int], dtype: Any) -> tuple[Any, Any]:
        size = prod(shape) * np.dtype(dtype).itemsize
        if self._room is None or size > self._size:
            self._size, self._room = size, super().block(size)
        return super().place(self._room, 0, shape, dtype)

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """An array outside of every block."""
        return self.place(None, 0, shape, dtype)[0]

    def fetch(self, source: Any) -> Callable[[], Any]:
        return lambda: finite(source)

    def asarray(self, a: Any, dtype: Any = None, order: str = "C") -> Any:
        """The array itself where it needs no copy."""
        a = np.asarray(a, dtype)
        return a if a.flags.c_contiguous else self.empty(a.shape, a.dtype)


class DryNumpy(DryMemory):
    """The array functions that an operation on kernels uses."""

    ndarray = np.ndarray
    zeros = DryMemory.empty


def finite(a: Any) -> Any:
    """What a step reads of such a device: ones, so that every loss and flag is good."""
    return np.ones(a.shape, a.dtype)


class DryLauncher(Launcher):
    """Takes kernels' launches for the device of this name, and runs none."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.memory = self.xp = DryNumpy()

    def synchronize(self) -> None:
        """There is nothing to wait for."""

    def to_numpy(self, a: Any) -> Any:
        return finite(a)

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        """Nothing."""
