"""Pools as one pass over whole slices for each tap of the window."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.pooling import PoolingOps
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch
from gpucnn.ops.cpu.select import mask_dtype, zero_where
from gpucnn.ops.shapes import Pool2dShape, window_extent


class Tap(NamedTuple):
    """Place r·S + s of a window: the outputs whose tap lies inside x, and the inputs it reads."""

    place: int
    outputs: tuple[slice, slice]
    inputs: tuple[slice, slice]


def _taps(shape: Pool2dShape, *, column_major: bool = False) -> Iterator[Tap]:
    """The taps in reading order, or by columns."""
    high, wide = shape.kernel
    places = [(r, s) for r in range(high) for s in range(wide)]
    if column_major:
        places.sort(key=lambda place: (place[1], place[0]))
    for r, s in places:
        rows, columns = _span(shape, 0, r), _span(shape, 1, s)
        if rows and columns:
            yield Tap(r * wide + s, (rows[0], columns[0]), (rows[1], columns[1]))


def _span(shape: Pool2dShape, axis: int, tap: int) -> tuple[slice, slice] | None:
    """Along one axis, the outputs whose `tap` is a real cell, and these cells."""
    size, outputs = ((shape.h, shape.p), (shape.w, shape.q))[axis]
    stride, shift = shape.stride[axis], tap * shape.dilation[axis] - shape.padding[axis][0]
    low = max(0, -(shift // stride))
    high = min(outputs, (size - 1 - shift) // stride + 1)
    if low >= high:
        return None
    first = low * stride + shift
    return slice(low, high), slice(first, first + (high - low - 1) * stride + 1, stride)


def _is_whole_image(shape: Pool2dShape) -> bool:
    return shape.kernel == (shape.h, shape.w) and not any(map(any, shape.padding))


def _is_disjoint(shape: Pool2dShape) -> bool:
    """Whether no cell belongs to two windows."""
    return all(
        shape.stride[axis] >= window_extent(shape.kernel[axis], shape.dilation[axis])
        for axis in (0, 1)
    )


class CpuPooling(CpuArrayOps, PoolingOps):
    """The pooling family on NumPy."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        y = self.empty(shape.y_shape, x.dtype)
        # Ranks in the order of `taps`: a later winner's is larger, so argmax is a maximum too.
        ranks = self.empty(shape.y_shape, shape.argmax_dtype)
        taps = list(_taps(shape, column_major=column_major))
        first = _first_ranks(self.zeros((shape.p, shape.q), shape.argmax_dtype), taps)
        in_order = [tap.place for tap in taps] == list(range(len(taps)))
        argmax = ranks if in_order else self.empty(shape.y_shape, shape.argmax_dtype)

        def body(low: int, high: int, take: Scratch) -> None:
            part, part_ranks = y[low:high], ranks[low:high]
            part.fill(-np.inf)
            part_ranks[...] = first
            flags, wins = take.like(part, bool), take.like(part_ranks)
            for rank, tap in enumerate(taps):
                best = part[:, :, tap.outputs[0], tap.outputs[1]]
                cells = x[low:high, :, tap.inputs[0], tap.inputs[1]]
                place = part_ranks[:, :, tap.outputs[0], tap.outputs[1]]
                larger = flags[:, :, tap.outputs[0], tap.outputs[1]]
                won = wins[:, :, tap.outputs[0], tap.outputs[1]]
                # False with a NaN on either side; _rank_nan settles those windows.
                np.greater(cells, best, out=larger)
                np.multiply(larger.view(np.uint8), wins.dtype.type(rank), out=won)
                np.maximum(place, won, out=place)
                np.maximum(best, cells, out=best)
            if np.isnan(part, out=flags).any():
                _rank_nan(x[low:high], part_ranks, taps)
            if not in_order:
                for rank, tap in enumerate(taps):
                    np.equal(part_ranks, rank, out=flags)
                    np.copyto(argmax[low:high], tap.place, where=flags)

        size = shape.c * shape.p * shape.q
        self._over(shape.n, x.size, body, scratch=size * (1 + ranks.itemsize))
        return y, argmax

    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        taps, disjoint = list(_taps(shape)), _is_disjoint(shape)

        def body(low: int, high: int, take: Scratch) -> None:
            dx[low:high] = 0
            delta = dy[low:high]
            flags, work = take.like(delta, bool), take.like(delta, mask_dtype(dy))
            shares = None if disjoint else take.like(delta)
            if relu_y is not None:
                behind = take.like(delta)
                np.less_equal(relu_y[low:high], 0, out=flags)
                zero_where(flags, delta, behind, work)
                delta = behind
            for tap in taps:
                rows, columns = tap.outputs
                lost, keep = flags[:, :, rows, columns], work[:, :, rows, columns]
                np.not_equal(argmax[low:high, :, rows, columns], tap.place, out=lost)
                cells = dx[low:high, :, tap.inputs[0], tap.inputs[1]]
                if shares is None:
                    zero_where(lost, delta[:, :, rows, columns], cells, keep)
                else:
                    share = shares[:, :, rows, columns]
                    zero_where(lost, delta[:, :, rows, columns], share, keep)
                    cells += share

        size = shape.c * shape.p * shape.q
        self._over(shape.n, dx.size, body, scratch=size * (1 + 3 * dy.itemsize))
        return dx

    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array:
        y = self.empty(shape.y_shape, x.dtype)
        if _is_whole_image(shape):
            return np.mean(x, axis=(2, 3), keepdims=True, out=y)
        divisor = self._divisor(shape, include_pad, x.dtype)
        taps = list(_taps(shape))

        def body(low: int, high: int, _: Scratch) -> None:
            part = y[low:high]
            part.fill(0)
            for tap in taps:
                cells = x[low:high, :, tap.inputs[0], tap.inputs[1]]
                part[:, :, tap.outputs[0], tap.outputs[1]] += cells
            part /= divisor

        self._over(shape.n, x.size, body)
        return y

    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array:
        divisor = self._divisor(shape, include_pad, dy.dtype)
        share = np.divide(dy, divisor, out=self.empty(dy.shape, dy.dtype))
        dx = self.empty(shape.x_shape, dy.dtype)
        if _is_whole_image(shape):
            dx[...] = share
            return dx
        taps = list(_taps(shape))

        def body(low: int, high: int, _: Scratch) -> None:
            dx[low:high] = 0
            for tap in taps:
                cells = dx[low:high, :, tap.inputs[0], tap.inputs[1]]
                cells += share[low:high, :, tap.outputs[0], tap.outputs[1]]

        self._over(shape.n, dx.size, body)
        return dx

    def _divisor(self, shape: Pool2dShape, include_pad: bool, dtype: Any) -> Array:
        """(P, Q): cells of each window up to the padded edge, or the real ones alone."""
        rows, columns = (_counts(shape, axis, include_pad).astype(dtype) for axis in (0, 1))
        return np.multiply.outer(rows, columns, out=self.empty((shape.p, shape.q), dtype))

    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array:
        taps = list(_taps(shape))
        # Powers of |x| over the window's largest cannot overflow, and lose nothing below it.
        scale, largest = (self.empty(shape.y_shape, x.dtype) for _ in range(2))
        y, term = (self.empty(shape.y_shape, x.dtype) for _ in range(2))
        usable, finite = (self.empty(shape.y_shape, bool) for _ in range(2))
        largest.fill(0)
        for tap in taps:
            np.abs(x[:, :, tap.inputs[0], tap.inputs[1]], out=term)
            np.maximum(largest, term, out=largest)
        np.greater(largest, 0, out=usable)
        usable &= np.isfinite(largest, out=finite)
        scale.fill(1)
        np.copyto(scale, largest, where=usable)
        y.fill(0)
        for tap in taps:
            np.abs(x[:, :, tap.inputs[0], tap.inputs[1]], out=term)
            term /= scale
            term **= p
            y += term
        y **= 1 / p
        y *= scale
        return y

    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array:
        dx = self.zeros(shape.x_shape, dy.dtype)
        scale, delta, term, sign = (self.empty(dy.shape, dy.dtype) for _ in range(4))
        none = np.equal(y, 0, out=self.empty(y.shape, bool))
        np.copyto(scale, y)
        np.copyto(scale, 1, where=none)
        np.copyto(delta, dy)
        np.copyto(delta, 0, where=none)
        for tap in _taps(shape):
            cells = x[:, :, tap.inputs[0], tap.inputs[1]]
            np.abs(cells, out=term)
            term /= scale
            term **= p - 1
            np.multiply(delta, np.sign(cells, out=sign), out=sign)
            sign *= term
            dx[:, :, tap.inputs[0], tap.inputs[1]] += sign
        return dx


def _first_ranks(ranks: Array, taps: list[Tap]) -> Array:
    """(P, Q): the rank of each window's first real cell, which wins among cells of -inf."""
    for rank in reversed(range(len(taps))):
        ranks[taps[rank].outputs] = rank
    return ranks


def _rank_nan(x: Array, ranks: Array, taps: list[Tap]) -> None:
    """In windows with a NaN, set the rank to that of the first."""
    for rank in reversed(range(len(taps))):
        tap = taps[rank]
        cells = x[:, :, tap.inputs[0], tap.inputs[1]]
        place = ranks[:, :, tap.outputs[0], tap.outputs[1]]
        np.copyto(place, rank, where=np.isnan(cells))


def _counts(shape: Pool2dShape, axis: int, include_pad: bool) -> Array:
    size, outputs = ((shape.h, shape.p), (shape.w, shape.q))[axis]
    before, after = shape.padding[axis]
    low = np.arange(outputs) * shape.stride[axis] - before
    high = np.minimum(low + shape.kernel[axis], size + after)
    if not include_pad:
        low, high = np.maximum(low, 0), np.minimum(high, size)
    return high - low
