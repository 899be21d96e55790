"""Pools as one pass over whole slices for each tap of the window."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.pooling import PoolingOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.cpu.select import zero_where
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


class CpuPooling(PoolingOps):
    """The pooling family on NumPy."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        y = np.empty(shape.y_shape, x.dtype)
        # Ranks in the order of `taps`: a later winner's is larger, so argmax is a maximum too.
        ranks = np.empty(shape.y_shape, shape.argmax_dtype)
        taps = list(_taps(shape, column_major=column_major))
        first = _first_ranks(shape, taps)

        def body(low: int, high: int) -> None:
            part, part_ranks = y[low:high], ranks[low:high]
            part.fill(-np.inf)
            part_ranks[...] = first
            for rank, tap in enumerate(taps):
                best = part[:, :, tap.outputs[0], tap.outputs[1]]
                cells = x[low:high, :, tap.inputs[0], tap.inputs[1]]
                place = part_ranks[:, :, tap.outputs[0], tap.outputs[1]]
                # False with a NaN on either side; _rank_nan settles those windows.
                wins = (cells > best).astype(ranks.dtype)
                wins *= ranks.dtype.type(rank)
                np.maximum(place, wins, out=place)
                np.maximum(best, cells, out=best)
            if np.isnan(part).any():
                _rank_nan(x[low:high], part_ranks, taps)

        parallel.over(shape.n, x.size, body)
        places = np.array([tap.place for tap in taps], ranks.dtype)
        if not np.array_equal(places, np.arange(len(places))):
            ranks = places[ranks]
        return y, ranks

    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array:
        dx = np.zeros(shape.x_shape, dy.dtype)
        if relu_y is not None:
            behind_relu = np.empty_like(dy)
            zero_where(relu_y <= 0, dy, behind_relu)
            dy = behind_relu
        taps, disjoint = list(_taps(shape)), _is_disjoint(shape)

        def body(low: int, high: int) -> None:
            for tap in taps:
                rows, columns = tap.outputs
                lost = argmax[low:high, :, rows, columns] != tap.place
                cells = dx[low:high, :, tap.inputs[0], tap.inputs[1]]
                delta = dy[low:high, :, rows, columns]
                if disjoint:
                    zero_where(lost, delta, cells)
                else:
                    share = np.empty_like(delta)
                    zero_where(lost, delta, share)
                    cells += share

        parallel.over(shape.n, dx.size, body)
        return dx

    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array:
        if _is_whole_image(shape):
            return np.mean(x, axis=(2, 3), keepdims=True)
        y = np.zeros(shape.y_shape, x.dtype)
        divisor = _divisor(shape, include_pad).astype(x.dtype)
        taps = list(_taps(shape))

        def body(low: int, high: int) -> None:
            part = y[low:high]
            for tap in taps:
                cells = x[low:high, :, tap.inputs[0], tap.inputs[1]]
                part[:, :, tap.outputs[0], tap.outputs[1]] += cells
            part /= divisor

        parallel.over(shape.n, x.size, body)
        return y

    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array:
        share = dy / _divisor(shape, include_pad).astype(dy.dtype)
        if _is_whole_image(shape):
            return np.ascontiguousarray(np.broadcast_to(share, shape.x_shape))
        dx = np.zeros(shape.x_shape, dy.dtype)
        taps = list(_taps(shape))

        def body(low: int, high: int) -> None:
            for tap in taps:
                cells = dx[low:high, :, tap.inputs[0], tap.inputs[1]]
                cells += share[low:high, :, tap.outputs[0], tap.outputs[1]]

        parallel.over(shape.n, dx.size, body)
        return dx

    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array:
        taps = list(_taps(shape))
        # Powers of |x| over the window's largest cannot overflow, and lose nothing below it.
        largest = np.zeros(shape.y_shape, x.dtype)
        for tap in taps:
            np.maximum(largest, np.abs(x[:, :, tap.inputs[0], tap.inputs[1]]), out=largest)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, x.dtype.type(1))
        total = np.zeros_like(largest)
        for tap in taps:
            total += (np.abs(x[:, :, tap.inputs[0], tap.inputs[1]]) / scale) ** p
        y: Array = scale * total ** (1 / p)
        return y

    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array:
        dx = np.zeros(shape.x_shape, dy.dtype)
        scale = np.where(y == 0, dy.dtype.type(1), y)
        delta = np.where(y == 0, dy.dtype.type(0), dy)
        for tap in _taps(shape):
            cells = x[:, :, tap.inputs[0], tap.inputs[1]]
            dx[:, :, tap.inputs[0], tap.inputs[1]] += (
                delta * np.sign(cells) * (np.abs(cells) / scale) ** (p - 1)
            )
        return dx


def _first_ranks(shape: Pool2dShape, taps: list[Tap]) -> Array:
    """(P, Q): the rank of each window's first real cell, which wins among cells of -inf."""
    ranks = np.zeros((shape.p, shape.q), shape.argmax_dtype)
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


def _divisor(shape: Pool2dShape, include_pad: bool) -> Array:
    """(P, Q): cells of each window up to the padded edge, or the real ones alone."""
    return np.multiply.outer(*(_counts(shape, axis, include_pad) for axis in (0, 1)))


def _counts(shape: Pool2dShape, axis: int, include_pad: bool) -> Array:
    size, outputs = ((shape.h, shape.p), (shape.w, shape.q))[axis]
    before, after = shape.padding[axis]
    low = np.arange(outputs) * shape.stride[axis] - before
    high = np.minimum(low + shape.kernel[axis], size + after)
    if not include_pad:
        low, high = np.maximum(low, 0), np.minimum(high, size)
    return high - low
