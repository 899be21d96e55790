"""Convolution as blocked im2col and one matrix product a block.

All three passes share one gather: a block of output rows of some images reads its input tile, and
the tile's windows are copied into a matrix `columns` (C·R·S, images·rows·Q) in a buffer that every
block of the thread reuses. Forward multiplies it by w, the weight gradient by δ.

The input gradient is the full convolution of the seeds (S4 eq. 15) without its zeros: an input row
i of phase (i + padding) mod stride meets every stride-th tap alone, so each of the stride² phases
is a correlation of δ, at stride 1, with its own part of rot180(w).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.shapes import Conv2dShape

COLUMNS_BYTES = 1 << 21
"""Size of a thread's `columns` buffer: small enough for the caches, wide enough for the BLAS."""

WEIGHT_SLOTS = 8
"""Partial sums of the weight gradient: fixed, so that its bits do not depend on the threads."""


@dataclass(frozen=True)
class Axis:
    """Along one axis, output i reads the inputs i·stride + tap·dilation + offset."""

    inputs: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    offset: int

    def reach(self, low: int, high: int) -> tuple[int, int]:
        """First and one past the last input that outputs low..high-1 read; may lie outside."""
        first = low * self.stride + self.offset
        return first, first + (high - 1 - low) * self.stride + (self.taps - 1) * self.dilation + 1


class CpuConvolution(ConvolutionOps):
    """The convolution family on NumPy."""

    def _conv2d_forward(
        self, shape: Conv2dShape, x: Array, w: Array, b: Array | None, relu: bool
    ) -> Array:
        y = np.empty(shape.y_shape, x.dtype)
        weights = w.reshape(shape.groups, shape.k // shape.groups, -1)
        _correlate(x, weights, *_forward_axes(shape), y, b, relu)
        return y

    def _conv2d_backward_input(self, shape: Conv2dShape, dy: Array, w: Array) -> Array:
        dx = np.empty(shape.x_shape, dy.dtype)
        # (G, C/G, K/G, R, S): input and output channels change places.
        swapped = w.reshape(shape.groups, shape.k // shape.groups, *shape.w_shape[1:])
        swapped = swapped.transpose(0, 2, 1, 3, 4)
        for row_phase in range(min(shape.stride[0], shape.h)):
            rows, row_taps = _phase(shape, 0, row_phase)
            for col_phase in range(min(shape.stride[1], shape.w)):
                cols, col_taps = _phase(shape, 1, col_phase)
                part = dx[:, :, row_phase :: shape.stride[0], col_phase :: shape.stride[1]]
                if rows.taps == 0 or cols.taps == 0:
                    part[...] = 0
                    continue
                weights = swapped[:, :, :, row_taps, col_taps]
                weights = weights.reshape(shape.groups, shape.c // shape.groups, -1)
                _correlate(dy, weights, rows, cols, part, None, False)
        return dx

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        rows, cols = _forward_axes(shape)
        blocks = list(_blocks(shape.n, shape.c, rows, cols, x.dtype.itemsize))
        size = max(1, -(-len(blocks) // WEIGHT_SLOTS))
        slots = [blocks[i : i + size] for i in range(0, len(blocks), size)]
        sums = parallel.run(partial(_weight_slot, shape, dy, x, slot) for slot in slots)
        total = np.zeros((shape.groups, math.prod(shape.w_shape[1:]), shape.k // shape.groups))
        for slot_sum in sums:
            total += slot_sum
        return total.transpose(0, 2, 1).reshape(shape.w_shape).astype(dy.dtype, order="C")

    def _conv2d_backward_bias(self, dy: Array) -> Array:
        sums = parallel.over(
            len(dy), dy.size, lambda low, high: dy[low:high].sum(axis=(2, 3)).sum(axis=0)
        )
        return np.add.reduce(sums, axis=0, dtype=dy.dtype)


def _forward_axes(shape: Conv2dShape) -> tuple[Axis, Axis]:
    (top, _), (left, _) = shape.padding
    return (
        Axis(shape.h, shape.p, shape.r, shape.stride[0], shape.dilation[0], -top),
        Axis(shape.w, shape.q, shape.s, shape.stride[1], shape.dilation[1], -left),
    )


def _phase(shape: Conv2dShape, axis: int, phase: int) -> tuple[Axis, slice]:
    """The inputs phase, phase + stride, ... of dx as outputs of a correlation over dy.

    dx[i] sums dy[o]·w[t] over i + padding = o·stride + t·dilation. For i = phase + j·stride the
    taps are t0, t0 + stride/g, ... with g = gcd(stride, dilation); from one to the next, o falls
    by dilation/g. Taken from last to first (rot180), o rises: a correlation with that dilation.
    """
    stride, dilation = shape.stride[axis], shape.dilation[axis]
    kernel, outputs = ((shape.r, shape.p), (shape.s, shape.q))[axis]
    inputs = (shape.h, shape.w)[axis]
    shared = math.gcd(stride, dilation)
    place = phase + shape.padding[axis][0]
    taps = [t for t in range(kernel) if (place - t * dilation) % stride == 0]
    count = len(range(phase, inputs, stride))
    if not taps:
        return Axis(outputs, count, 0, 1, 1, 0), slice(0, 0)
    offset = (place - taps[-1] * dilation) // stride
    stop = taps[0] - 1 if taps[0] else None
    step = taps[1] - taps[0] if len(taps) > 1 else 1
    return Axis(outputs, count, len(taps), 1, dilation // shared, offset), slice(
        taps[-1], stop, -step
    )


def _is_pointwise(rows: Axis, cols: Axis) -> bool:
    """A 1x1 kernel over the input as it is: each image is the matrix already."""
    return all(
        axis.taps == axis.stride == 1 and axis.offset == 0 and axis.inputs == axis.outputs
        for axis in (rows, cols)
    )


Block = tuple[int, int, int, int]
"""First and one past the last image, first and one past the last output row."""


def _blocks(n: int, channels: int, rows: Axis, cols: Axis, itemsize: int) -> Iterator[Block]:
    """Blocks whose `columns` take about COLUMNS_BYTES: some images, or some rows of one.

    A pointwise convolution needs no columns; its blocks are whole images.
    """
    row_bytes = channels * rows.taps * cols.taps * cols.outputs * itemsize
    budget = max(1, COLUMNS_BYTES // row_bytes)
    height = -(-rows.outputs // -(-rows.outputs // budget))
    images = max(1, budget // rows.outputs)
    if _is_pointwise(rows, cols):
        height, images = rows.outputs, 1
    for n_low in range(0, n, images):
        for p_low in range(0, rows.outputs, height):
            yield n_low, min(n_low + images, n), p_low, min(p_low + height, rows.outputs)


class _Columns:
    """A thread's buffers for input tiles and their windows, reused from block to block."""

    def __init__(self, src: Array, rows: Axis, cols: Axis, blocks: list[Block]):
        self.src, self.rows, self.cols = src, rows, cols
        channels = src.shape[1]
        images = max((b[1] - b[0] for b in blocks), default=0)
        height = max((b[3] - b[2] for b in blocks), default=0)
        left, right = cols.reach(0, cols.outputs)
        tile_rows = rows.reach(0, height)[1] - rows.reach(0, height)[0]
        self.tile = np.empty(images * channels * tile_rows * (right - left), src.dtype)
        length = channels * rows.taps * cols.taps * images * height * cols.outputs
        self.pointwise = _is_pointwise(rows, cols)
        self.flat = np.empty(0 if self.pointwise else length, src.dtype)

    def gather(self, block: Block, groups: int) -> Array:
        """The block's windows as (groups, C/groups·R·S, images·rows·Q)."""
        n_low, n_high, p_low, p_high = block
        rows, cols = self.rows, self.cols
        images, channels, height = n_high - n_low, self.src.shape[1], p_high - p_low
        if self.pointwise:
            return self.src[n_low].reshape(groups, -1, rows.outputs * cols.outputs)
        tile = self._tile(n_low, n_high, *rows.reach(p_low, p_high), *cols.reach(0, cols.outputs))
        image, channel, row, col = tile.strides
        windows = as_strided(
            tile,
            (channels, rows.taps, cols.taps, images, height, cols.outputs),
            (
                channel,
                rows.dilation * row,
                cols.dilation * col,
                image,
                rows.stride * row,
                cols.stride * col,
            ),
            writeable=False,
        )
        out = self.flat[: windows.size].reshape(windows.shape)
        np.copyto(out, windows)
        return out.reshape(groups, -1, images * height * cols.outputs)

    def _tile(self, n_low: int, n_high: int, top: int, bottom: int, left: int, right: int) -> Array:
        """src[n_low:n_high, :, top:bottom, left:right], zero outside of src."""
        src = self.src
        high, wide = src.shape[2:]
        inside = (
            slice(max(top, 0), max(min(bottom, high), 0)),
            slice(max(left, 0), max(min(right, wide), 0)),
        )
        part = src[n_low:n_high, :, inside[0], inside[1]]
        shape = (n_high - n_low, src.shape[1], bottom - top, right - left)
        if part.shape == shape:
            return part
        tile = self.tile[: shape[0] * shape[1] * shape[2] * shape[3]].reshape(shape)
        tile.fill(0)
        if part.size:
            y, x = inside[0].start - top, inside[1].start - left
            tile[:, :, y : y + part.shape[2], x : x + part.shape[3]] = part
        return tile


def _correlate(
    src: Array, weights: Array, rows: Axis, cols: Axis, dst: Array, b: Array | None, relu: bool
) -> None:
    """dst (N, K, P, Q; any strides) = src ⋆ weights (G, K/G, C/G·R·S) + b, block by block."""
    blocks = list(_blocks(len(src), src.shape[1], rows, cols, src.dtype.itemsize))
    workers = min(parallel.threads(), len(blocks))

    def work(mine: list[Block]) -> None:
        columns = _Columns(src, rows, cols, mine)
        for block in mine:
            n_low, n_high, p_low, p_high = block
            matrix = columns.gather(block, len(weights))
            part = dst[n_low:n_high, :, p_low:p_high]
            if n_high - n_low == 1 and dst.flags.c_contiguous:
                # One image's rows of y are a matrix as they are: no copy of the product.
                image = dst[n_low].reshape(*weights.shape[:2], -1)
                pixels = slice(p_low * cols.outputs, p_high * cols.outputs)
                np.matmul(weights, matrix, out=image[:, :, pixels])
                if b is not None:
                    part += b[:, None, None]
            else:
                product = np.matmul(weights, matrix)
                product = product.reshape(-1, n_high - n_low, p_high - p_low, cols.outputs)
                product = product.transpose(1, 0, 2, 3)
                if b is None:
                    part[...] = product
                else:
                    np.add(product, b[:, None, None], out=part)
            if relu:
                np.maximum(part, 0, out=part)

    parallel.run(partial(work, blocks[i::workers]) for i in range(workers))


def _weight_slot(shape: Conv2dShape, dy: Array, x: Array, blocks: list[Block]) -> Array:
    """The weight gradient of some blocks as (G, C/G·R·S, K/G)."""
    columns = _Columns(x, *_forward_axes(shape), blocks)
    total: Any = 0
    for block in blocks:
        n_low, n_high, p_low, p_high = block
        delta = dy[n_low:n_high, :, p_low:p_high]
        delta = delta.reshape(n_high - n_low, shape.groups, -1, p_high - p_low, shape.q)
        # columns · δ with δ as (pixels, filters): the BLAS is slower on two long transposed rows.
        delta = delta.transpose(1, 0, 3, 4, 2).reshape(shape.groups, -1, shape.k // shape.groups)
        total += np.matmul(columns.gather(block, shape.groups), delta)
    return total
