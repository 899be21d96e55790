"""Convolution as matrix products, block by block (columns.py gathers the blocks).

The input gradient is the full convolution of the seeds (S4 eq. 15) without its zeros: an input row
i of phase (i + padding) mod stride meets every stride-th tap alone, so each of the stride² phases
is a correlation of δ, at stride 1, with its own part of rot180(w).
"""

from math import gcd, prod

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch
from gpucnn.ops.cpu.columns import Axis, Block, Columns, Plan
from gpucnn.ops.cpu.select import cut, cut_room
from gpucnn.ops.shapes import Conv2dShape

LARGE = 1 << 24
"""Multiply-accumulates from which two threads are faster than one."""

WEIGHT_SLOTS = 8
"""Partial sums of the weight gradient: fixed, so that its bits do not depend on the threads."""


class CpuConvolution(CpuArrayOps, ConvolutionOps):
    """The convolution family on NumPy."""

    def _conv2d_forward(
        self,
        shape: Conv2dShape,
        x: Array,
        w: Array,
        b: Array | None,
        residual: Array | None,
        relu: bool,
    ) -> Array:
        y = self.empty(shape.y_shape, x.dtype)
        kernels = w.reshape(shape.groups, shape.k // shape.groups, *shape.w_shape[1:])
        relu_y = y if relu else None
        self._correlate(x, kernels, *_forward_axes(shape), y, b, residual, relu_y)
        return y

    def _conv2d_backward_input(
        self,
        shape: Conv2dShape,
        dy: Array,
        w: Array,
        residual: Array | None,
        relu_y: Array | None,
    ) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        kernels = w.reshape(shape.groups, shape.k // shape.groups, *shape.w_shape[1:])
        stride = shape.stride
        swapped = kernels.transpose(0, 2, 1, 3, 4)  # input and output channels change places
        for row_phase in range(min(shape.stride[0], shape.h)):
            rows, row_taps = _phase(shape, 0, row_phase)
            for col_phase in range(min(shape.stride[1], shape.w)):
                cols, col_taps = _phase(shape, 1, col_phase)
                part = dx[:, :, row_phase :: stride[0], col_phase :: stride[1]]
                end = [
                    a if a is None else a[:, :, row_phase :: stride[0], col_phase :: stride[1]]
                    for a in (residual, relu_y)
                ]
                if rows.taps == 0 or cols.taps == 0:
                    part[...] = 0
                    self._end(part, *end)
                else:
                    taps = swapped[..., row_taps, col_taps]
                    self._correlate(dy, taps, rows, cols, part, None, *end)
        return dx

    def _correlate(
        self,
        src: Array,
        kernels: Array,
        rows: Axis,
        cols: Axis,
        dst: Array,
        b: Array | None,
        residual: Array | None,
        relu_y: Array | None,
    ) -> None:
        """dst (N, K, P, Q; any strides) = src ⋆ kernels (G, K/G, C/G, R, S) + b, in blocks.

        Then + residual, and 0 where relu_y, which may be dst, is not above 0.
        """
        groups, filters, channels = kernels.shape[:3]
        plan = _plan(channels, groups * filters, groups, rows, cols)
        blocks = list(plan.blocks(len(src), src.dtype.itemsize))
        if not blocks:
            return
        # The kernel's rows with all of their taps, or the whole kernel: (G, K/G, C/G·taps) each.
        taken = kernels.transpose(3, 0, 1, 2, 4) if plan.shares_rows else kernels[None]
        weights = self.empty((len(taken), groups, filters, prod(taken.shape[3:])), src.dtype)
        np.copyto(weights.reshape(taken.shape), taken)
        matrix, tile = plan.room(blocks[0])
        product = groups * filters * blocks[0].height * blocks[0].count * cols.outputs

        def body(_: int, block: Block, take: Scratch) -> None:
            columns = Columns(src, plan, take(matrix, src.dtype), take(tile, src.dtype))
            part = dst[block.images, :, block.rows]
            matrices = columns.gather(block)
            sizes = (groups, filters, block.height * block.count * cols.outputs)
            term = take(sizes, src.dtype) if len(weights) > 1 else None
            if block.count == 1 and dst.flags.c_contiguous:
                # One image's rows of y are a matrix as they are: no copy of the product.
                image = dst[block.images.start].reshape(groups, filters, -1)
                pixels = slice(block.rows.start * cols.outputs, block.rows.stop * cols.outputs)
                _products(weights, matrices, image[:, :, pixels], term)
                result = part
                if b is not None:
                    part += b[:, None, None]
            else:
                result = take(sizes, src.dtype)
                _products(weights, matrices, result, term)
                result = result.reshape(-1, block.height, block.count, cols.outputs)
                result = result.transpose(2, 0, 1, 3)
                if b is not None:
                    result = np.add(result, b[:, None, None], out=part)
            if residual is not None:
                np.add(result, residual[block.images, :, block.rows], out=part)
            elif result is not part:
                part[...] = result
            if relu_y is not None:
                cut(relu_y[block.images, :, block.rows], part, take)

        room = (matrix + tile + (2 if len(weights) > 1 else 1) * product) * src.itemsize
        room += cut_room(product, src.itemsize) if relu_y is not None else 0
        large = dst.size * channels * rows.taps * cols.taps > LARGE
        self._shares(blocks, room, large, body)

    def _end(self, dst: Array, residual: Array | None, relu_y: Array | None) -> None:
        """dst + residual, and 0 where relu_y is not above 0."""
        if residual is not None:
            dst += residual
        if relu_y is not None:
            cut(relu_y, dst, self._scratch(cut_room(dst.size, dst.itemsize)))

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        plan = _plan(shape.w_shape[1], shape.k, shape.groups, *_forward_axes(shape))
        blocks = list(plan.blocks(shape.n, x.dtype.itemsize))
        each = max(1, -(-len(blocks) // WEIGHT_SLOTS))
        slots = [blocks[i : i + each] for i in range(0, len(blocks), each)]
        # (rows, G, C/G, rows gathered, S, K/G), where one of the two axes of rows is R, one is 1
        rows = plan.gathered_rows
        sizes = (shape.r // rows, shape.groups, shape.w_shape[1], rows, shape.s, plan.filters)
        matrices = (*sizes[:2], sizes[2] * rows * shape.s, plan.filters)
        sums = self.zeros((len(slots), *matrices), x.dtype)
        matrix, tile = plan.room(blocks[0]) if blocks else (0, 0)
        deltas = blocks[0].count * blocks[0].height * shape.q * shape.k if blocks else 0

        def body(index: int, slot: list[Block], take: Scratch) -> None:
            columns = Columns(x, plan, take(matrix, x.dtype), take(tile, x.dtype))
            room, product = take(deltas, x.dtype), take(matrices[1:], x.dtype)
            for block in slot:
                delta = dy[block.images, :, block.rows]
                delta = delta.reshape(block.count, plan.groups, plan.filters, block.height, -1)
                # δ as (pixels, filters): the BLAS is slower with two long rows to multiply.
                delta = delta.transpose(1, 3, 0, 4, 2)
                turned = room[: delta.size].reshape(delta.shape)
                np.copyto(turned, delta)
                turned = turned.reshape(plan.groups, -1, plan.filters)
                for total, gathered in zip(sums[index], columns.gather(block), strict=True):
                    total += np.matmul(gathered, turned, out=product)

        size = (matrix + tile + deltas + prod(matrices[1:])) * x.itemsize
        self._shares(slots, size, shape.macs > LARGE, body)
        total = self.zeros(sizes, "float64")
        for slot_sum in sums:
            total += slot_sum.reshape(sizes)
        dw = self.empty(shape.w_shape, dy.dtype)
        parts = dw.reshape(shape.groups, plan.filters, shape.w_shape[1], -1, rows, shape.s)
        np.copyto(parts, total.transpose(1, 5, 2, 0, 3, 4), casting="same_kind")
        return dw

    def _conv2d_backward_bias(self, dy: Array) -> Array:
        channels = dy.shape[1]

        def body(out: Array, low: int, high: int, take: Scratch) -> None:
            maps = take((high - low, channels), dy.dtype)
            np.sum(dy[low:high], axis=(2, 3), out=maps)
            np.sum(maps, axis=0, out=out)

        sums = self._reduced(
            len(dy), dy.size, (channels,), dy.dtype, body, scratch=channels * dy.itemsize
        )
        return np.add.reduce(sums, axis=0, out=self.empty((channels,), dy.dtype))


def _forward_axes(shape: Conv2dShape) -> tuple[Axis, Axis]:
    (top, _), (left, _) = shape.padding
    return (
        Axis(shape.h, shape.p, shape.r, shape.stride[0], shape.dilation[0], -top),
        Axis(shape.w, shape.q, shape.s, shape.stride[1], shape.dilation[1], -left),
    )


def _plan(channels: int, filters: int, groups: int, rows: Axis, cols: Axis) -> Plan:
    return Plan(channels, filters // groups, groups, rows, cols)


def _phase(shape: Conv2dShape, axis: int, phase: int) -> tuple[Axis, slice]:
    """The inputs phase, phase + stride, ... of dx as outputs of a correlation over dy.

    dx[i] sums dy[o]·w[t] over i + padding = o·stride + t·dilation. For i = phase + j·stride the
    taps are t0, t0 + stride/g, ... with g = gcd(stride, dilation); from one to the next, o falls
    by dilation/g. Taken from last to first (rot180), o rises: a correlation with that dilation.
    """
    stride, dilation = shape.stride[axis], shape.dilation[axis]
    kernel, outputs = ((shape.r, shape.p), (shape.s, shape.q))[axis]
    inputs = (shape.h, shape.w)[axis]
    place = phase + shape.padding[axis][0]
    taps = [t for t in range(kernel) if (place - t * dilation) % stride == 0]
    count = len(range(phase, inputs, stride))
    if not taps:
        return Axis(outputs, count, 0, 1, 1, 0), slice(0, 0)
    last_to_first = slice(
        taps[-1],
        taps[0] - 1 if taps[0] else None,
        taps[0] - taps[1] if len(taps) > 1 else -1,
    )
    offset = (place - taps[-1] * dilation) // stride
    step = dilation // gcd(stride, dilation)
    return Axis(outputs, count, len(taps), 1, step, offset), last_to_first


def _products(weights: Array, matrices: list[Array], out: Array, term: Array | None) -> None:
    """out = Σ weights[i] · matrices[i]; `term` is for all products but the first."""
    np.matmul(weights[0], matrices[0], out=out)
    for weight, matrix in zip(weights[1:], matrices[1:], strict=True):
        out += np.matmul(weight, matrix, out=term)
