"""The plan of a convolution: which kernel, which tile, how many blocks, how the sums are split.

All of it is a function of shape and dtype alone, sized for a nominal GPU of 132 multiprocessors.
What decides the order of a sum (the kind of kernel, the split) is the same on every device, so the
bits are too; `candidates` are the plans that differ in the rest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import Literal, get_args

import numpy as np

from gpucnn.ops.kernels.base import THREADS
from gpucnn.ops.kernels.conv_tiles import MULTIPROCESSORS, TILES, Tile, choose_tile
from gpucnn.ops.shapes import Conv2dShape

WORKSPACE_BYTES = 32 * 2**20
"""Most memory for partial sums: they stay in a large GPU's L2."""

DIRECT_CHANNELS = 4
"""Channels of a group up to which the direct kernels compute: a tile would be mostly empty."""
DIRECT_FILTERS = 8
"""Filters of a group up to which conv2d_backward_weight_direct does, with so few channels."""
DIRECT_FILTERS_A_THREAD = {
    "conv2d_forward_direct": (4, 16),
    "conv2d_backward_weight_direct": (1, 4),
}
"""FILTERS of the direct kernels."""
DIRECT_COLUMNS = 128
"""Columns of a block of conv_direct.cuh."""
DIRECT_TAPS = 9
"""TAPS of conv2d_backward_weight.cu."""
DEPTHWISE_KERNELS: dict[str, tuple[int, ...]] = {"float32": (3, 5, 7), "float64": ()}
"""Square windows that the depthwise kernels have compiled in, for stride and dilation 1."""
SLICE_TILES = 16
"""Fewest tiles of depth in a slice of a split sum: fewer would not pay for writing it."""

Operation = Literal["conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"]
FILES: tuple[Operation, ...] = get_args(Operation)
"""The kernels' files."""
Kind = Literal["tiled", "direct", "depthwise"]


@dataclass(frozen=True)
class ConvPlan:
    """How one pass of a convolution is computed: `products` products of rows x columns."""

    operation: Operation
    kind: Kind
    products: int
    """Of the depthwise kernels: strips."""
    rows: int = 1
    columns: int = 1
    slices: int = 1
    """Of the sum, each of `length` terms but the last."""
    length: int = 0
    tile: Tile | None = None
    stages: int = 2
    filters: int = 0
    """Of a thread: FILTERS of the direct kernels; 0 where a thread makes all rows."""
    kernel: int = 0
    """KERNEL of the depthwise kernels."""
    math: Literal["fp32"] = "fp32"
    """How numbers are multiplied; the modes of tensor cores will stand here."""
    layout: Literal["nchw"] = "nchw"
    """In which order the kernel reads and writes its images."""

    @property
    def symbol(self) -> str:
        return self.operation if self.kind == "tiled" else f"{self.operation}_{self.kind}"

    @property
    def macros(self) -> tuple[tuple[str, int], ...]:
        if self.tile is not None:
            return (*self.tile.macros, ("STAGES", self.stages))
        if self.kind == "depthwise":
            return (("KERNEL", self.kernel),)
        return (("FILTERS", self.filters),) if self.filters else ()

    @property
    def threads(self) -> int:
        """Of a block."""
        if self.tile is not None:
            return self.tile.threads
        return THREADS if self.operation == "conv2d_backward_weight" else DIRECT_COLUMNS

    @property
    def blocks(self) -> int:
        """Of the grid; the depthwise kernels loop over their strips in any."""
        if self.tile is not None:
            return self.slices * self.products * self.tile.blocks(self.rows, self.columns)
        wide = DIRECT_TAPS if self.operation == "conv2d_backward_weight" else DIRECT_COLUMNS
        rows = -(-self.rows // self.filters) if self.filters else 1
        return self.slices * self.products * rows * -(-self.columns // wide)


@cache
def plan(operation: Operation, shape: Conv2dShape, dtype: str) -> ConvPlan:
    """The plan that the estimates find best."""
    return _PLANS[operation](shape, dtype)


def candidates(first: ConvPlan, dtype: str) -> Iterator[ConvPlan]:
    """`first`, and all plans that give the same bits: other tiles and stages, or filters a thread.

    Each sum is taken by one thread in the order of its terms whatever these are; kind, slices and
    length stay.
    """
    yield first
    if first.tile is not None:
        others = [
            replace(first, tile=tile, stages=stages)
            for tile in TILES[dtype]
            for stages in tile.stages
        ]
    else:
        choices = DIRECT_FILTERS_A_THREAD.get(first.symbol, ())
        others = [replace(first, filters=filters) for filters in choices]
    yield from (other for other in others if other != first)


def through_registers(first: ConvPlan, dtype: str) -> ConvPlan:
    """The plan for a device whose copies are not asynchronous: as `first`, in two stages."""
    size = first.tile and (first.tile.m, first.tile.n)
    return next(
        found
        for found in candidates(first, dtype)
        if found.stages == 2 and (found.tile and (found.tile.m, found.tile.n)) == size
    )


def _forward(shape: Conv2dShape, dtype: str) -> ConvPlan:
    filters, pixels = shape.k // shape.groups, shape.n * shape.p * shape.q
    if depthwise(shape):
        kernel, strip = _strip(shape, dtype)
        strips = shape.n * shape.k * -(-shape.p // strip) * shape.q
        return ConvPlan("conv2d_forward", "depthwise", strips, kernel=kernel)
    if shape.c // shape.groups <= DIRECT_CHANNELS:
        a_thread = 4 if filters <= 4 else 16
        return ConvPlan("conv2d_forward", "direct", shape.groups, filters, pixels, filters=a_thread)
    return _tiled("conv2d_forward", shape.groups, filters, pixels, dtype)


def _backward_input(shape: Conv2dShape, dtype: str) -> ConvPlan:
    channels = shape.c // shape.groups
    high, wide = min(shape.stride[0], shape.h), min(shape.stride[1], shape.w)
    most = -(-shape.h // high)  # rows of the largest phase
    columns, products = shape.n * most * -(-shape.w // wide), shape.groups * high * wide
    if depthwise(shape):
        kernel, strip = _strip(shape, dtype)
        strips = shape.n * shape.c * -(-most // strip) * high * shape.w
        return ConvPlan("conv2d_backward_input", "depthwise", strips, kernel=kernel)
    if channels <= DIRECT_CHANNELS:
        return ConvPlan("conv2d_backward_input", "direct", products, channels, columns)
    return _tiled("conv2d_backward_input", products, channels, columns, dtype)


def _backward_weight(shape: Conv2dShape, dtype: str) -> ConvPlan:
    filters, depth = shape.k // shape.groups, shape.c // shape.groups * shape.r * shape.s
    if shape.c // shape.groups <= DIRECT_CHANNELS and filters <= DIRECT_FILTERS:
        a_thread, quantum = 1 if filters == 1 else 4, 4 * THREADS
        first = ConvPlan(
            "conv2d_backward_weight", "direct", shape.groups, filters, depth, filters=a_thread
        )
    else:
        first = _tiled("conv2d_backward_weight", shape.groups, filters, depth, dtype)
        quantum = SLICE_TILES * 8
    pixels, one_part = shape.n * shape.p * shape.q, shape.k * depth * np.dtype(dtype).itemsize
    slices, length = split(pixels, first.blocks, quantum, one_part)
    return replace(first, slices=slices, length=length)


_PLANS: dict[Operation, Callable[[Conv2dShape, str], ConvPlan]] = {
    "conv2d_forward": _forward,
    "conv2d_backward_input": _backward_input,
    "conv2d_backward_weight": _backward_weight,
}


def _strip(shape: Conv2dShape, dtype: str) -> tuple[int, int]:
    """KERNEL and kStrip of conv_depthwise.cuh."""
    plain = shape.stride == shape.dilation == (1, 1) and shape.r == shape.s
    return (shape.r, 8) if plain and shape.r in DEPTHWISE_KERNELS[dtype] else (0, 4)


def _tiled(operation: Operation, products: int, rows: int, columns: int, dtype: str) -> ConvPlan:
    split = operation == "conv2d_backward_weight"
    tile = choose_tile(dtype, rows, columns, products, split=split)
    stages = tile.stages[-1]
    return ConvPlan(operation, "tiled", products, rows, columns, tile=tile, stages=stages)


def depthwise(shape: Conv2dShape) -> bool:
    """One input channel a group: nothing to share between filters."""
    return shape.groups > 1 and shape.c == shape.groups


@cache
def split(total: int, blocks: int, quantum: int, bytes_a_part: int) -> tuple[int, int]:
    """(slices, slice): a sum of `total` terms in slices for `blocks` blocks each.

    Up to some two blocks a multiprocessor, as many as are resident at once, none shorter than
    `quantum`, and no more than the workspace holds. Of these numbers the one that leaves the
    busiest multiprocessor least to do. One empty slice where there is nothing to sum.
    """
    most = min(
        ceil(2 * MULTIPROCESSORS / blocks), total // quantum, WORKSPACE_BYTES // bytes_a_part
    )

    def time(slices: int) -> float:
        return ceil(slices * blocks / MULTIPROCESSORS) / slices

    slices = min(range(most, 0, -1), key=time, default=1)
    length = ceil(total / slices)
    # Whole quanta but for the last slice; rounding up may need fewer slices.
    length = max(1, min(total, -(-length // 8) * 8))
    return max(1, ceil(total / length)), length
