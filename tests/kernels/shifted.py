"""Arrays that begin off the 16 bytes of a vector, and what must not change with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.ops.base import Array
from tests.kernels.devices import PoisonedOps


def shifted(a: np.ndarray) -> np.ndarray:
    """A C-contiguous copy that begins one element after a multiple of 16 bytes."""
    period = 16 // a.itemsize
    flat = np.empty(a.size + period, a.dtype)
    start = (1 - flat.ctypes.data // a.itemsize) % period
    copy = flat[start : start + a.size].reshape(a.shape)
    copy[...] = a
    return copy


class ShiftedOps(PoisonedOps):
    """Results and workspaces begin there too."""

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return shifted(super().empty(shape, dtype))


def assert_same_bits(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    """NaN and the sign of 0 included."""
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
