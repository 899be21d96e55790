"""Pools, window by window: S0 §3, S2 and S3 §4. x (N, C, H, W), y (N, C, P, Q), float64.

A pool has no activation and no parameter (C6): what it sends down is ∂C/∂a of the layer below,
and δ below is that (.) σ'(z).
"""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements
from gpucnn.reference.sizes import pair
from gpucnn.reference.windows import Windows

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

TIE_BREAKS = ("row_major", "column_major")


@implements("A9", "C6", "C7", "S0:2", "S3:4.1", "S3:4.2")
def max_pool2d(
    x: ArrayLike,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    tie_break: str = "row_major",
) -> tuple[Floats, Places]:
    """y[n,c,p,q] = max of its window, and argmax, the winner's place in it in reading order.

    Among equals "row_major" takes the first in reading order, "column_major" the one of the
    smallest column, then of the smallest row (S3). The first NaN wins; padding never does.
    """
    if tie_break not in TIE_BREAKS:
        raise ConfigError(f"tie_break must be one of {TIE_BREAKS}, got {tie_break!r}")
    x = np.asarray(x, np.float64)
    windows = Windows.over(x.shape, kernel_size, stride, padding)
    shape = windows.y_shape(*x.shape[:2])
    y, argmax = np.empty(shape), np.empty(shape, np.int64)
    for n, c, p, q in np.ndindex(*shape):
        cells = windows.cells(p, q)
        if tie_break == "column_major":
            cells.sort(key=lambda cell: (cell.column, cell.row))
        winner, best = cells[0], x[n, c, cells[0].row, cells[0].column]
        for cell in cells[1:]:
            value = x[n, c, cell.row, cell.column]
            if value > best or (isnan(value) and not isnan(best)):
                winner, best = cell, value
        y[n, c, p, q], argmax[n, c, p, q] = best, winner.place
    return y, argmax


@implements("A9", "A10", "P1", "S0:3", "S3:4.6", "E28")
def max_pool2d_backward(
    dy: ArrayLike,
    argmax: ArrayLike,
    x_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
) -> Floats:
    """∂z/∂x[d,i,j] = Σ ∂z/∂y over the windows that (d,i,j) has won (S3 4.6).

    S3 writes ∂z/∂x^k on the right side too, which should be x^(k+1), this pool's output.
    """
    dy, argmax = np.asarray(dy, np.float64), np.asarray(argmax)
    windows = Windows.over(x_shape, kernel_size, stride, padding)
    _check_dy(dy, windows.y_shape(x_shape[0], x_shape[1]))
    dx = np.zeros(tuple(x_shape))
    for n, c, p, q in np.ndindex(*dy.shape):
        for cell in windows.cells(p, q):
            if cell.place == argmax[n, c, p, q]:
                dx[n, c, cell.row, cell.column] += dy[n, c, p, q]
    return dx


@implements("A11")
def avg_pool2d(
    x: ArrayLike,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Floats:
    """y[n,c,p,q] = Σ of its window / |R| (S2).

    |R| counts the window's cells, or with `count_include_pad` False only those of the input.
    """
    x = np.asarray(x, np.float64)
    windows = Windows.over(x.shape, kernel_size, stride, padding)
    y = np.empty(windows.y_shape(*x.shape[:2]))
    for n, c, p, q in np.ndindex(*y.shape):
        cells = windows.cells(p, q)
        total = sum(x[n, c, cell.row, cell.column] for cell in cells)
        y[n, c, p, q] = total / _divisor(windows, len(cells), count_include_pad)
    return y


@implements("A11", "P2", "S0:3", "E16")
def avg_pool2d_backward(
    dy: ArrayLike,
    x_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Floats:
    """∂z/∂x[c,i,j] = Σ δ[c,p,q] / |R| over the windows R that (i,j) lies in.

    S2 writes one δ/|R|, which is the sum where windows do not overlap.
    """
    dy = np.asarray(dy, np.float64)
    windows = Windows.over(x_shape, kernel_size, stride, padding)
    _check_dy(dy, windows.y_shape(x_shape[0], x_shape[1]))
    dx = np.zeros(tuple(x_shape))
    for n, c, p, q in np.ndindex(*dy.shape):
        cells = windows.cells(p, q)
        for cell in cells:
            share = dy[n, c, p, q] / _divisor(windows, len(cells), count_include_pad)
            dx[n, c, cell.row, cell.column] += share
    return dx


@implements("A12")
def global_avg_pool2d(x: ArrayLike) -> Floats:
    """y[n,c] = the mean of map (n, c): (N, C) for maps of any size (S2)."""
    x = np.asarray(x, np.float64)
    return avg_pool2d(x, x.shape[2:])[:, :, 0, 0]


@implements("A12")
def global_avg_pool2d_backward(dy: ArrayLike, x_shape: Sequence[int]) -> Floats:
    """∂z/∂x[n,c,i,j] = δ[n,c] / (H·W), the same all over a map (S2)."""
    dy = np.asarray(dy, np.float64)
    return avg_pool2d_backward(dy[:, :, None, None], x_shape, tuple(x_shape[2:]))


@implements("A13")
def lp_pool2d(x: ArrayLike, kernel_size: Any, stride: Any = None, p: float = 2) -> Floats:
    """y = (Σ |x|^p)^(1/p) of each window; p = 2 is S2's L2 pool, with no mean under the root."""
    x = np.asarray(x, np.float64)
    windows = Windows.over(x.shape, kernel_size, stride)
    y = np.empty(windows.y_shape(*x.shape[:2]))
    for n, c, i, j in np.ndindex(*y.shape):
        total = sum(abs(x[n, c, cell.row, cell.column]) ** p for cell in windows.cells(i, j))
        y[n, c, i, j] = total ** (1 / p)
    return y


@implements("A13")
def lp_pool2d_backward(
    dy: ArrayLike, x: ArrayLike, y: ArrayLike, kernel_size: Any, stride: Any = None, p: float = 2
) -> Floats:
    """∂z/∂x = Σ δ·sign(x)·(|x|/y)^(p-1) over x's windows, 0 where y = 0; p = 2: δ·x/y."""
    dy, x, y = (np.asarray(a, np.float64) for a in (dy, x, y))
    windows = Windows.over(x.shape, kernel_size, stride)
    _check_dy(dy, windows.y_shape(*x.shape[:2]))
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(*dy.shape):
        if y[n, c, i, j] == 0:
            continue
        for cell in windows.cells(i, j):
            value = x[n, c, cell.row, cell.column]
            slope = np.sign(value) * (abs(value) / y[n, c, i, j]) ** (p - 1)
            dx[n, c, cell.row, cell.column] += dy[n, c, i, j] * slope
    return dx


@implements("S0:3", "E18")
def upsample(delta: ArrayLike, kernel_size: Any) -> Floats:
    """Each δ[..., p, q] in all cells of its own k by k block: (..., P·k, Q·k).

    For windows that do not overlap, (.) the mask of the winners gives the gradient of MAX, and
    / k² that of Average. S0's picture of the restored matrix, a δ with a ring of zeros around it,
    has this size for 2x2 alone.
    """
    delta = np.asarray(delta, np.float64)
    high, wide = pair(kernel_size, "kernel_size")
    *front, rows, columns = delta.shape
    large = np.empty((*front, rows * high, columns * wide))
    for i, j in np.ndindex(rows * high, columns * wide):
        large[..., i, j] = delta[..., i // high, j // wide]
    return large


def _divisor(windows: Windows, real_cells: int, count_include_pad: bool) -> int:
    """|R|."""
    return windows.kernel[0] * windows.kernel[1] if count_include_pad else real_cells


def _check_dy(dy: Floats, y_shape: tuple[int, ...]) -> None:
    if dy.shape != y_shape:
        raise ShapeError(f"dy must have y's shape {y_shape}, got {dy.shape}")
