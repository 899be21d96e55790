"""Arrays that begin off the 16 bytes of a vector, and what must not change with them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.ops.base import Array
from tests.kernels.devices import PoisonedOps


def shifted(a: np.ndarray) -> np.ndarray:
    """A C-contiguous copy that begins one element after a multiple of 16 bytes."""
    copy = _within(np.empty(a.size + _period(a.dtype), a.dtype), a.shape)
    copy[...] = a
    return copy


def _period(dtype: Any) -> int:
    return 16 // np.dtype(dtype).itemsize


def _within(flat: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The part of `flat`, a period longer, that begins at such a place."""
    start = (1 - flat.ctypes.data // flat.itemsize) % _period(flat.dtype)
    return flat[start : start + math.prod(shape)].reshape(shape)


class ShiftedOps(PoisonedOps):
    """Results and workspaces begin there too."""

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return _within(super().empty((math.prod(shape) + _period(dtype),), dtype), shape)


def assert_same_bits(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    """NaN and the sign of 0 included."""
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
