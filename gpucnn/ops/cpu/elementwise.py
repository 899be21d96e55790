"""Activations, sums and joins."""

from collections.abc import Callable, Sequence

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.elementwise import ElementwiseOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.cpu.select import zero_where


def _blockwise(like: Array, body: Callable[..., None], *inputs: Array) -> Array:
    """`body(out, *inputs)` over matching pieces of flat arrays; returns the whole `out`."""
    out = np.empty_like(like)
    flat = [a.reshape(-1) for a in (out, *inputs)]
    parallel.over(out.size, out.size, lambda low, high: body(*(a[low:high] for a in flat)))
    return out


def _leak(values: Array, x: Array, negative_slope: float, out: Array) -> None:
    """out = x <= 0 ? negative_slope·values : values."""
    low = x <= 0
    kept = np.empty_like(values)
    zero_where(low, values, kept)
    np.multiply(values, negative_slope, out=out)
    zero_where(~low, out, out)
    out += kept


class CpuElementwise(ElementwiseOps):
    """The elementwise family on NumPy."""

    def _relu_forward(self, x: Array) -> Array:
        return _blockwise(x, lambda out, x: np.maximum(x, 0, out=out), x)

    def _relu_backward(self, dy: Array, x: Array) -> Array:
        return _blockwise(dy, lambda out, dy, x: zero_where(x <= 0, dy, out), dy, x)

    def _leaky_relu_forward(self, x: Array, negative_slope: float) -> Array:
        return _blockwise(x, lambda out, x: _leak(x, x, negative_slope, out), x)

    def _leaky_relu_backward(self, dy: Array, x: Array, negative_slope: float) -> Array:
        return _blockwise(dy, lambda out, dy, x: _leak(dy, x, negative_slope, out), dy, x)

    def _sigmoid_forward(self, x: Array) -> Array:
        def body(out: Array, x: Array) -> None:
            # e^-|x| never overflows: 1/(1 + e) for x >= 0, e/(1 + e) below.
            power = np.exp(-np.abs(x))
            np.divide(np.where(x < 0, power, 1), 1 + power, out=out)

        return _blockwise(x, body, x)

    def _sigmoid_backward(self, dy: Array, y: Array) -> Array:
        return _blockwise(dy, lambda out, dy, y: np.multiply(dy, y * (1 - y), out=out), dy, y)

    def _tanh_forward(self, x: Array) -> Array:
        return _blockwise(x, lambda out, x: np.tanh(x, out=out), x)

    def _tanh_backward(self, dy: Array, y: Array) -> Array:
        return _blockwise(dy, lambda out, dy, y: np.multiply(dy, 1 - y * y, out=out), dy, y)

    def _softmax_forward(self, x: Array) -> Array:
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        return y

    def _softmax_backward(self, dy: Array, y: Array) -> Array:
        dx = dy - (dy * y).sum(axis=-1, keepdims=True)
        dx *= y
        return dx

    def _add(self, a: Array, b: Array, relu: bool) -> Array:
        def body(out: Array, a: Array, b: Array) -> None:
            np.add(a, b, out=out)
            if relu:
                np.maximum(out, 0, out=out)

        return _blockwise(a, body, a, b)

    def _concat(self, xs: Sequence[Array], axis: int) -> Array:
        return np.concatenate(xs, axis=axis)

    def _split(self, x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
        pieces = np.split(x, np.cumsum(sizes)[:-1], axis=axis) if sizes else []
        return [np.ascontiguousarray(piece) for piece in pieces]
