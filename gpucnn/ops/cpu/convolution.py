"""Convolution as matrix products, block by block (columns.py gathers the blocks).

The input gradient is the full convolution of the seeds (S4 eq. 15) without its zeros: an input row
i of phase (i + padding) mod stride meets every stride-th tap alone, so each of the stride² phases
is a correlation of δ, at stride 1, with its own part of rot180(w).
"""

from functools import partial
from math import gcd
from typing import Any

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.cpu.columns import Axis, Block, Columns, Plan
from gpucnn.ops.cpu.select import zero_where
from gpucnn.ops.shapes import Conv2dShape

LARGE = 1 << 24
"""Multiply-accumulates from which two threads are faster than one."""

WEIGHT_SLOTS = 8
"""Partial sums of the weight gradient: fixed, so that its bits do not depend on the threads."""


class CpuConvolution(ConvolutionOps):
    """The convolution family on NumPy."""

    def _conv2d_forward(
        self, shape: Conv2dShape, x: Array, w: Array, b: Array | None, relu: bool
    ) -> Array:
        y = np.empty(shape.y_shape, x.dtype)
        kernels = w.reshape(shape.groups, shape.k // shape.groups, *shape.w_shape[1:])
        _correlate(x, kernels, *_forward_axes(shape), y, b, relu)
        return y

    def _conv2d_backward_input(self, shape: Conv2dShape, dy: Array, w: Array) -> Array:
        dx = np.empty(shape.x_shape, dy.dtype)
        kernels = w.reshape(shape.groups, shape.k // shape.groups, *shape.w_shape[1:])
        swapped = kernels.transpose(0, 2, 1, 3, 4)  # input and output channels change places
        for row_phase in range(min(shape.stride[0], shape.h)):
            rows, row_taps = _phase(shape, 0, row_phase)
            for col_phase in range(min(shape.stride[1], shape.w)):
                cols, col_taps = _phase(shape, 1, col_phase)
                part = dx[:, :, row_phase :: shape.stride[0], col_phase :: shape.stride[1]]
                if rows.taps == 0 or cols.taps == 0:
                    part[...] = 0
                else:
                    _correlate(dy, swapped[..., row_taps, col_taps], rows, cols, part)
        return dx

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        plan = _plan(shape.w_shape[1], shape.k, shape.groups, *_forward_axes(shape))
        blocks = list(plan.blocks(shape.n, x.dtype.itemsize))
        size = max(1, -(-len(blocks) // WEIGHT_SLOTS))
        slots = [blocks[i : i + size] for i in range(0, len(blocks), size)]
        sums = parallel.run(
            (partial(_weight_slot, plan, dy, x, slot) for slot in slots),
            together=shape.macs > LARGE,
        )
        # (rows, G, C/G, rows gathered, S, K/G), where one of the two axes of rows is R, one is 1
        rows = plan.gathered_rows
        total = np.zeros(
            (shape.r // rows, shape.groups, shape.w_shape[1], rows, shape.s, plan.filters)
        )
        for slot_sum in sums:
            total += slot_sum.reshape(total.shape)
        return total.transpose(1, 5, 2, 0, 3, 4).reshape(shape.w_shape).astype(dy.dtype, order="C")

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


def _correlate(
    src: Array,
    kernels: Array,
    rows: Axis,
    cols: Axis,
    dst: Array,
    b: Array | None = None,
    relu: bool = False,
) -> None:
    """dst (N, K, P, Q; any strides) = src ⋆ kernels (G, K/G, C/G, R, S) + b, block by block."""
    groups, filters, channels = kernels.shape[:3]
    plan = _plan(channels, groups * filters, groups, rows, cols)
    if plan.shares_rows:
        weights = [kernels[:, :, :, r].reshape(groups, filters, -1) for r in range(rows.taps)]
    else:
        weights = [kernels.reshape(groups, filters, -1)]
    blocks = list(plan.blocks(len(src), src.dtype.itemsize))
    large = dst.size * channels * rows.taps * cols.taps > LARGE
    workers = min(parallel.threads(), len(blocks)) if large else 1

    def work(mine: list[Block]) -> None:
        columns = Columns(src, plan)
        for block in mine:
            part = dst[block.images, :, block.rows]
            matrices = columns.gather(block)
            if block.count == 1 and dst.flags.c_contiguous:
                # One image's rows of y are a matrix as they are: no copy of the product.
                image = dst[block.images.start].reshape(groups, filters, -1)
                pixels = slice(block.rows.start * cols.outputs, block.rows.stop * cols.outputs)
                _products(weights, matrices, image[:, :, pixels])
                if b is not None:
                    part += b[:, None, None]
            else:
                product = _products(weights, matrices)
                product = product.reshape(-1, block.height, block.count, cols.outputs)
                product = product.transpose(2, 0, 1, 3)
                if b is None:
                    part[...] = product
                else:
                    np.add(product, b[:, None, None], out=part)
            if relu:
                zero_where(part <= 0, part, part)

    parallel.run(partial(work, blocks[i::workers]) for i in range(workers))


def _products(weights: list[Array], matrices: list[Array], out: Array | None = None) -> Array:
    """Σ weights[i] · matrices[i]."""
    total = np.matmul(weights[0], matrices[0], out=out)
    for weight, matrix in zip(weights[1:], matrices[1:], strict=True):
        total += np.matmul(weight, matrix)
    return total


def _weight_slot(plan: Plan, dy: Array, x: Array, blocks: list[Block]) -> Array:
    """The weight gradient of some blocks: for each matrix (G, its rows, K/G)."""
    columns = Columns(x, plan)
    total: Any = 0
    for block in blocks:
        delta = dy[block.images, :, block.rows]
        delta = delta.reshape(block.count, plan.groups, plan.filters, block.height, -1)
        # δ as (pixels, filters): the BLAS is slower with two long rows to multiply.
        delta = delta.transpose(1, 3, 0, 4, 2).reshape(plan.groups, -1, plan.filters)
        total += np.stack([np.matmul(matrix, delta) for matrix in columns.gather(block)])
    return total
