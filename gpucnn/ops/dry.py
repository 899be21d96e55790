"""Operations that take their memory, and compute nothing."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from gpucnn.errors import DeviceError
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.dry import DryLauncher, DryMemory, finite


class DryNumpyOps(NumpyOps):
    """The `cpu` device; what is little work is done, on any numbers."""

    def __init__(self) -> None:
        self.memory = self._dry = DryMemory()

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        return self._dry.asarray(a, dtype)

    def to_numpy(self, a: Array) -> Any:
        return finite(a)

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self._dry.empty(shape, dtype)

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self._dry.empty(shape, dtype)

    def _run(self, tasks: Iterable[Callable[[], None]]) -> None:
        """None of them."""


def dry_ops(device: str) -> Ops:
    """What `get_ops` gives, with nothing computed; the device need not be there."""
    if not re.fullmatch(r"cpu|emulator|cuda(:\d+)?", device):
        raise DeviceError(f"device must be cpu, cuda, cuda:N or emulator, got {device!r}")
    return DryNumpyOps() if device == "cpu" else KernelOps(DryLauncher(device))
