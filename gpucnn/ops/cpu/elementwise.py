"""Activations, sums and joins."""

from collections.abc import Callable, Sequence

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.elementwise import ElementwiseOps
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch
from gpucnn.ops.cpu.select import mask_dtype, zero_where


def _sigmoid(take: Scratch, out: Array, x: Array) -> None:
    # e^-|x| never overflows: 1/(1 + e) for x >= 0, e/(1 + e) below.
    power, negative = take.like(x), take.like(x, bool)
    np.exp(np.negative(np.abs(x, out=power), out=power), out=power)
    np.add(power, 1, out=out)
    np.logical_not(np.less(x, 0, out=negative), out=negative)
    np.copyto(power, 1, where=negative)
    np.divide(power, out, out=out)


def _sigmoid_slope(take: Scratch, out: Array, dy: Array, y: Array) -> None:
    slope = np.subtract(1, y, out=take.like(y))
    slope *= y
    np.multiply(dy, slope, out=out)


def _tanh_slope(take: Scratch, out: Array, dy: Array, y: Array) -> None:
    slope = np.multiply(y, y, out=take.like(y))
    np.subtract(1, slope, out=slope)
    np.multiply(dy, slope, out=out)


def _leak(take: Scratch, out: Array, values: Array, x: Array, negative_slope: float) -> None:
    """out = x <= 0 ? negative_slope·values : values."""
    low, work = take.like(x, bool), take.like(x, mask_dtype(values))
    np.less_equal(x, 0, out=low)
    kept = take.like(values)
    zero_where(low, values, kept, work)
    np.multiply(values, negative_slope, out=out)
    zero_where(np.logical_not(low, out=low), out, out, work)
    out += kept


class CpuElementwise(CpuArrayOps, ElementwiseOps):
    """The elementwise family on NumPy."""

    def _map(self, body: Callable[..., None], *inputs: Array, arrays: int = 0) -> Array:
        """`body(scratch, out, *inputs)` over matching pieces of flat arrays; returns `out`.

        The body may take `arrays` like its inputs, and one of bool, from the scratch.
        """
        out = self.empty(inputs[0].shape, inputs[0].dtype)
        flat = [a.reshape(-1) for a in (out, *inputs)]
        self._over(
            out.size,
            out.size,
            lambda low, high, take: body(take, *(a[low:high] for a in flat)),
            scratch=arrays * out.itemsize + 1,
        )
        return out

    def _relu_forward(self, x: Array) -> Array:
        return self._map(lambda _, out, x: np.maximum(x, 0, out=out), x)

    def _relu_backward(self, dy: Array, x: Array) -> Array:
        def body(take: Scratch, out: Array, dy: Array, x: Array) -> None:
            low = np.less_equal(x, 0, out=take.like(x, bool))
            zero_where(low, dy, out, take.like(dy, mask_dtype(dy)))

        return self._map(body, dy, x, arrays=1)

    def _leaky_relu_forward(self, x: Array, negative_slope: float) -> Array:
        return self._map(lambda take, out, x: _leak(take, out, x, x, negative_slope), x, arrays=2)

    def _leaky_relu_backward(self, dy: Array, x: Array, negative_slope: float) -> Array:
        return self._map(
            lambda take, out, dy, x: _leak(take, out, dy, x, negative_slope), dy, x, arrays=2
        )

    def _sigmoid_forward(self, x: Array) -> Array:
        return self._map(_sigmoid, x, arrays=1)

    def _sigmoid_backward(self, dy: Array, y: Array) -> Array:
        return self._map(_sigmoid_slope, dy, y, arrays=1)

    def _tanh_forward(self, x: Array) -> Array:
        return self._map(lambda _, out, x: np.tanh(x, out=out), x)

    def _tanh_backward(self, dy: Array, y: Array) -> Array:
        return self._map(_tanh_slope, dy, y, arrays=1)

    def _softmax_forward(self, x: Array) -> Array:
        y, rows = self.empty(x.shape, x.dtype), self.empty((*x.shape[:-1], 1), x.dtype)
        np.subtract(x, np.max(x, axis=-1, keepdims=True, out=rows), out=y)
        np.exp(y, out=y)
        y /= np.sum(y, axis=-1, keepdims=True, out=rows)
        return y

    def _softmax_backward(self, dy: Array, y: Array) -> Array:
        dx, rows = self.empty(dy.shape, dy.dtype), self.empty((*dy.shape[:-1], 1), dy.dtype)
        np.sum(np.multiply(dy, y, out=dx), axis=-1, keepdims=True, out=rows)
        np.subtract(dy, rows, out=dx)
        dx *= y
        return dx

    def _add(self, a: Array, b: Array, relu: bool) -> Array:
        def body(_: Scratch, out: Array, a: Array, b: Array) -> None:
            np.add(a, b, out=out)
            if relu:
                np.maximum(out, 0, out=out)

        return self._map(body, a, b)

    def _concat(self, xs: Sequence[Array], axis: int) -> Array:
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        return np.concatenate(xs, axis=axis, out=self.empty(shape, xs[0].dtype))

    def _split(self, x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
        pieces, first = [], 0
        for size in sizes:
            part = x[(slice(None),) * axis + (slice(first, first + size),)]
            pieces.append(self.empty(part.shape, x.dtype))
            np.copyto(pieces[-1], part)
            first += size
        return pieces
