"""The sources' examples, and how the golden tests call an operation. Small whole numbers: exact."""

from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from tests.ops.harness import call

A = [[1, 3, 1, 4], [2, 8, 5, 1], [3, 2, 0, 3]]
"""S3 §2.1's feature map, and its kernel."""
K = [[1, 0], [-1, 1]]
K9 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
D22 = [[1, 2], [3, 4]]


def maps(rows: Any, dtype: str) -> np.ndarray:
    """One map of one image: (1, 1, H, W)."""
    return np.asarray(rows, dtype)[None, None]


def grid(rows: int, columns: int, first: int, dtype: str) -> np.ndarray:
    """first, first + 1, ... in reading order, as one map."""
    return maps(np.arange(first, first + rows * columns).reshape(rows, columns), dtype)


def integers(shape: Any, dtype: str, seed: int = 0) -> np.ndarray:
    """Whole numbers from -5 to 5."""
    return np.random.default_rng(seed).integers(-5, 6, shape).astype(dtype)


def equal(actual: np.ndarray, expected: Any) -> None:
    """Every number the same; `expected` may leave out axes of size 1."""
    np.testing.assert_array_equal(actual.reshape(np.shape(expected)), expected)


def corr(ops: Ops, x: Any, w: Any, dtype: str, **kw: Any) -> np.ndarray:
    """A map and a kernel, as lists of rows, through conv2d_forward."""
    return call(ops, "conv2d_forward", maps(x, dtype), maps(w, dtype), **kw)


def backward(ops: Ops, x: np.ndarray, w: np.ndarray, dy: np.ndarray, **kw: Any) -> Any:
    """dx, dw, db."""
    dx = call(ops, "conv2d_backward_input", dy, w, x.shape, **kw)
    dw = call(ops, "conv2d_backward_weight", dy, x, w.shape, **kw)
    return dx, dw, call(ops, "conv2d_backward_bias", dy)
