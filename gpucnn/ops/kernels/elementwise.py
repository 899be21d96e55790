"""Activations, sums and joins."""

from collections.abc import Sequence
from math import prod
from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.elementwise import ElementwiseOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps

WARP_COLUMNS = 1024
"""Longest row that one warp takes; a longer one gets a block."""


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def vectors(count: int, dtype: Any) -> int:
    """How many vectors of 16 bytes hold `count` elements: what a thread takes at once."""
    return ceil_div(count * int(dtype.itemsize), 16)


def row_launch(rows: int, columns: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of a kernel whose teams take a row each (kernels/rows.cuh)."""
    team = 32 if columns <= WARP_COLUMNS else THREADS
    teams = THREADS // team
    return (ceil_div(rows, teams), 1, 1), (team, teams, 1)


class KernelElementwise(KernelArrayOps, ElementwiseOps):
    """The elementwise family on kernels."""

    def _map(self, file: str, inputs: Sequence[Array], *numbers: float) -> Array:
        """kernels/`file`.cu over the elements of `inputs`, which are of one shape."""
        like = inputs[0]
        out = self.empty(like.shape, like.dtype)
        args = [*inputs, out, like.size, *numbers]
        self._launch_elements(file, vectors(like.size, like.dtype), args, dtype=like.dtype)
        return out

    def _relu_forward(self, x: Array) -> Array:
        return self._map("relu_forward", [x])

    def _relu_backward(self, dy: Array, x: Array) -> Array:
        return self._map("relu_backward", [dy, x])

    def _leaky_relu_forward(self, x: Array, negative_slope: float) -> Array:
        return self._map("leaky_relu_forward", [x], negative_slope)

    def _leaky_relu_backward(self, dy: Array, x: Array, negative_slope: float) -> Array:
        return self._map("leaky_relu_backward", [dy, x], negative_slope)

    def _sigmoid_forward(self, x: Array) -> Array:
        return self._map("sigmoid_forward", [x])

    def _sigmoid_backward(self, dy: Array, y: Array) -> Array:
        return self._map("sigmoid_backward", [dy, y])

    def _tanh_forward(self, x: Array) -> Array:
        return self._map("tanh_forward", [x])

    def _tanh_backward(self, dy: Array, y: Array) -> Array:
        return self._map("tanh_backward", [dy, y])

    def _add(self, a: Array, b: Array, relu: bool) -> Array:
        return self._map("add", [a, b], relu)

    def _softmax_forward(self, x: Array) -> Array:
        return self._rows("softmax_forward", [x])

    def _softmax_backward(self, dy: Array, y: Array) -> Array:
        return self._rows("softmax_backward", [dy, y])

    def _rows(self, file: str, inputs: Sequence[Array]) -> Array:
        like = inputs[0]
        out = self.empty(like.shape, like.dtype)
        rows, columns = prod(like.shape[:-1]), like.shape[-1]
        grid, block = row_launch(rows, columns)
        self._launch(file, grid, block, [*inputs, out, rows, columns], dtype=like.dtype)
        return out

    def _concat(self, xs: Sequence[Array], axis: int) -> Array:
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        y = self.empty(shape, xs[0].dtype)
        first = 0
        for x in xs:
            first += self._copy_columns("concat", x, y, part=x, whole=y, axis=axis, first=first)
        return y

    def _split(self, x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
        pieces, first = [], 0
        for size in sizes:
            y = self.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
            first += self._copy_columns("split", x, y, part=y, whole=x, axis=axis, first=first)
            pieces.append(y)
        return pieces

    def _copy_columns(
        self, file: str, x: Array, y: Array, *, part: Array, whole: Array, axis: int, first: int
    ) -> int:
        """Copy x to y, `part` being columns of `whole` from `first`; return their number."""
        rows, width = prod(part.shape[:axis]), int(prod(part.shape[axis:]))
        pitch = prod(whole.shape[axis:])
        args = [x, y, rows, width, pitch, first]
        self._launch_elements(file, vectors(part.size, part.dtype), args, dtype=part.dtype)
        return width
