"""Windows of an input as matrices, a block at a time, in buffers that are used again.

A convolution is a sum of matrix products over its taps. `Columns` copies a block's windows into
matrices with a row for each (channel, tap) and a column for each output pixel, in one of two ways:

- all taps in one matrix (im2col): one product, R·S copies of the input;
- the taps of a kernel row in one matrix, the kernel rows as shifted views of it: R products to be
  added, only S copies (Cho and Brand, "MEC", 2017). This is the faster where C·S is large.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gpucnn.ops.contract.arrays import Array

BLOCK_BYTES = 1 << 21
"""What a block's matrices and products should take: in the caches, but wide enough for the BLAS."""

SHARE_FROM = 32
"""Rows a matrix needs at least for its product to be fast; below it all taps go into one."""


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

    @property
    def pointwise(self) -> bool:
        """Whether output i is input i."""
        return (self.taps, self.stride, self.offset) == (1, 1, 0) and self.inputs == self.outputs


@dataclass(frozen=True)
class Plan:
    """How a correlation of `channels` inputs with `filters` kernels a group is cut up."""

    channels: int
    filters: int
    groups: int
    rows: Axis
    cols: Axis

    @property
    def pointwise(self) -> bool:
        """Whether each image is the matrix already."""
        return self.rows.pointwise and self.cols.pointwise

    @property
    def shares_rows(self) -> bool:
        """Whether the kernel's rows are views of one matrix."""
        rows = self.channels * self.cols.taps
        return self.rows.taps > 1 and rows >= SHARE_FROM and self.filters <= 2 * rows

    @property
    def gathered_rows(self) -> int:
        """Kernel rows whose taps stand in one matrix."""
        return 1 if self.shares_rows else self.rows.taps

    def room(self, block: "Block") -> tuple[int, int]:
        """Numbers that the matrix and the padded tile of a block take; the first's are the most."""
        if self.pointwise:
            return 0, 0
        rows, cols = self.rows, self.cols
        height, channels = block.height, self.groups * self.channels
        phases, lines = rows.taps, height
        reach = (height - 1) * rows.stride + (rows.taps - 1) * rows.dilation + 1
        if self.shares_rows:
            phases, lines = rows.stride, -(-reach // rows.stride)
            reach = phases * lines
        matrix = channels * phases * cols.taps * lines * block.count * cols.outputs
        left, right = cols.reach(0, cols.outputs)
        return matrix, block.count * channels * reach * (right - left)

    def blocks(self, n: int, itemsize: int) -> "Iterator[Block]":
        """Some images, or some rows of one, of about BLOCK_BYTES; pointwise: each image."""
        matrix = self.channels * self.gathered_rows * self.cols.taps
        products = self.filters * (2 if self.shares_rows else 1)
        row_bytes = self.groups * (matrix + products) * self.cols.outputs * itemsize
        budget = max(1, BLOCK_BYTES // row_bytes)
        outputs = self.rows.outputs
        height = -(-outputs // -(-outputs // budget))
        # At least two blocks of a batch, for two threads.
        images = max(1, min(budget // outputs, -(-n // 2)))
        if self.pointwise:
            height, images = outputs, 1
        for n_low in range(0, n, images):
            for p_low in range(0, outputs, height):
                yield Block(
                    slice(n_low, min(n_low + images, n)), slice(p_low, min(p_low + height, outputs))
                )


@dataclass(frozen=True)
class Block:
    """Some images and some of their output rows."""

    images: slice
    rows: slice

    @property
    def count(self) -> int:
        return int(self.images.stop - self.images.start)

    @property
    def height(self) -> int:
        return int(self.rows.stop - self.rows.start)


class Columns:
    """The matrices of one input (N, C, H, W), in two flat buffers of `plan.room`."""

    def __init__(self, src: Array, plan: Plan, matrix: Array, tile: Array):
        self.src, self.plan = src, plan
        self._matrix, self._tile_room = matrix, tile

    def gather(self, block: Block) -> list[Array]:
        """The block's matrices (G, C/G·taps, rows·images·Q), in the kernel rows' order."""
        plan, rows, cols = self.plan, self.plan.rows, self.plan.cols
        pixels = block.count * cols.outputs
        if plan.pointwise:
            return [self.src[block.images.start].reshape(plan.groups, plan.channels, -1)]
        top, bottom = rows.reach(block.rows.start, block.rows.stop)
        if plan.shares_rows:
            # Every stride-th row stands together, so that each kernel row's are contiguous.
            phases, height = rows.stride, -(-(bottom - top) // rows.stride)
            bottom = top + phases * height
            step = 1
        else:
            phases, height, step = rows.taps, block.height, rows.dilation
        tile = self._tile(block.images, top, bottom, *cols.reach(0, cols.outputs))
        image, channel, row, col = tile.strides
        shared = plan.shares_rows
        # (C, phase, S, row, image, Q) or, with all taps in one matrix, (C, R, S, row, image, Q)
        windows = as_strided(
            tile,
            (tile.shape[1], phases, cols.taps, height, block.count, cols.outputs),
            (channel, step * row, cols.dilation * col, rows.stride * row, image, cols.stride * col),
            writeable=False,
        )
        if shared:
            windows = windows.transpose(0, 2, 1, 3, 4, 5)
        matrix = self._matrix[: windows.size].reshape(windows.shape)
        np.copyto(matrix, windows)
        if not shared:
            return [matrix.reshape(plan.groups, -1, height * pixels)]
        lines = matrix.reshape(plan.groups, -1, phases, height * pixels)
        shifts = [divmod(tap * rows.dilation, rows.stride) for tap in range(rows.taps)]
        return [
            lines[:, :, phase, first * pixels : (first + block.height) * pixels]
            for first, phase in shifts
        ]

    def _tile(self, images: slice, top: int, bottom: int, left: int, right: int) -> Array:
        """src[images, :, top:bottom, left:right], zero outside of src."""
        high, wide = self.src.shape[2:]
        inside = (
            slice(max(top, 0), max(min(bottom, high), 0)),
            slice(max(left, 0), max(min(right, wide), 0)),
        )
        part = self.src[images, :, inside[0], inside[1]]
        shape = (*part.shape[:2], bottom - top, right - left)
        if part.shape == shape:
            return part
        tile = self._tile_room[: prod(shape)].reshape(shape)
        tile.fill(0)
        if part.size:
            y, x = inside[0].start - top, inside[1].start - left
            tile[:, :, y : y + part.shape[2], x : x + part.shape[3]] = part
        return tile
