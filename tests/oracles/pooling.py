"""Pools window by window, cell by cell.

A window is a list of (place, i, j): its cells in reading order, i and j as rows and columns of the
unpadded input, which may lie outside.
"""

from collections.abc import Iterator, Sequence
from math import fsum, isnan
from typing import Any

import numpy as np

from tests.oracles.convolution import both, sides

Cell = tuple[int, int, int]


class Pool:
    """A geometry, its output size counted window by window."""

    def __init__(
        self,
        x_shape: Sequence[int],
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.x_shape = tuple(x_shape)
        self.kernel = both(kernel_size)
        self.stride = self.kernel if stride is None else both(stride)
        self.padding, self.dilation = sides(padding), both(dilation)
        p, q = (self._count(axis, ceil_mode) for axis in (0, 1))
        self.y_shape = (*self.x_shape[:2], p, q)

    def _count(self, axis: int, ceil_mode: bool) -> int:
        size, stride = self.x_shape[2 + axis], self.stride[axis]
        lead, trail = self.padding[axis]
        extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        count = 0
        # Floor: the window ends inside the padded input. Ceil: also the first one that does not,
        # if it begins before the trailing padding.
        while count * stride + extent <= lead + size + trail:
            count += 1
        over = count * stride + extent - (lead + size + trail)
        if ceil_mode and over < stride and count * stride < lead + size:
            count += 1
        return count

    def windows(self) -> Iterator[tuple[tuple[int, ...], list[Cell]]]:
        """Every output place with the cells of its window."""
        for n, c, p, q in np.ndindex(*self.y_shape):
            top = p * self.stride[0] - self.padding[0][0]
            left = q * self.stride[1] - self.padding[1][0]
            cells = []
            for r in range(self.kernel[0]):
                for s in range(self.kernel[1]):
                    i, j = top + r * self.dilation[0], left + s * self.dilation[1]
                    cells.append((r * self.kernel[1] + s, i, j))
            yield (n, c, p, q), cells

    def inside(self, i: int, j: int) -> bool:
        """Whether a cell is a real one."""
        return 0 <= i < self.x_shape[2] and 0 <= j < self.x_shape[3]

    def max_forward(
        self, x: np.ndarray, tie_break: str = "row_major"
    ) -> tuple[np.ndarray, np.ndarray]:
        """y and the winner's place; NaN wins, then the greatest, then the first in the order."""
        y, argmax = np.zeros(self.y_shape), np.zeros(self.y_shape, dtype=np.int64)
        for at, cells in self.windows():
            real = [(place, float(x[at[0], at[1], i, j])) for place, i, j in cells
                    if self.inside(i, j)]  # fmt: skip
            if tie_break == "column_major":
                real.sort(key=lambda cell: (cell[0] % self.kernel[1], cell[0] // self.kernel[1]))
            nans = [cell for cell in real if isnan(cell[1])]
            top = max(value for _, value in real) if not nans else None
            winners = nans or [cell for cell in real if cell[1] == top]
            argmax[at], y[at] = winners[0]
        return y, argmax

    def max_backward(self, dy: np.ndarray, argmax: np.ndarray) -> np.ndarray:
        """Every dy to its winner, added up."""
        dx = np.zeros(self.x_shape)
        for at, cells in self.windows():
            _, i, j = cells[int(argmax[at])]
            dx[at[0], at[1], i, j] += float(dy[at])
        return dx

    def _divisor(self, cells: list[Cell], include_pad: bool) -> int:
        if not include_pad:
            return sum(self.inside(i, j) for _, i, j in cells)
        bottom = self.x_shape[2] + self.padding[0][1]
        right = self.x_shape[3] + self.padding[1][1]
        return sum(i < bottom and j < right for _, i, j in cells)

    def avg_forward(self, x: np.ndarray, include_pad: bool = True) -> np.ndarray:
        """The mean of each window."""
        y = np.zeros(self.y_shape)
        for at, cells in self.windows():
            total = fsum(x[at[0], at[1], i, j] for _, i, j in cells if self.inside(i, j))
            y[at] = total / self._divisor(cells, include_pad)
        return y

    def avg_backward(self, dy: np.ndarray, include_pad: bool = True) -> np.ndarray:
        """Every dy over its divisor, to each real cell."""
        dx = np.zeros(self.x_shape)
        for at, cells in self.windows():
            for _, i, j in cells:
                if self.inside(i, j):
                    dx[at[0], at[1], i, j] += float(dy[at]) / self._divisor(cells, include_pad)
        return dx

    def lp_forward(self, x: np.ndarray, p: float = 2.0) -> np.ndarray:
        """(Σ|x|^p)^(1/p), the largest value taken out first, so that no power overflows."""
        y = np.zeros(self.y_shape)
        for at, cells in self.windows():
            values = [abs(float(x[at[0], at[1], i, j])) for _, i, j in cells]
            top = max(values)
            if top > 0:
                y[at] = top * fsum((value / top) ** p for value in values) ** (1 / p)
        return y

    def lp_backward(
        self, dy: np.ndarray, x: np.ndarray, y: np.ndarray, p: float = 2.0
    ) -> np.ndarray:
        """dy·sign(x)·(|x|/y)^(p-1), 0 where y = 0; at x = 0 the sign is 0."""
        dx = np.zeros(self.x_shape)
        for at, cells in self.windows():
            for _, i, j in cells:
                value = float(x[at[0], at[1], i, j])
                if y[at] != 0 and value != 0:
                    share = (abs(value) / float(y[at])) ** (p - 1)
                    dx[at[0], at[1], i, j] += float(dy[at]) * share * (1 if value > 0 else -1)
        return dx
