"""Convolution: which kernel, which tile, how many blocks, how the sums are split.

All of it is a function of shape and dtype alone, sized for a nominal GPU of 132 multiprocessors:
the same bits on every device.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps, struct
from gpucnn.ops.shapes import Conv2dShape

MULTIPROCESSORS = 132
WORKSPACE_BYTES = 32 * 2**20
"""Most memory for partial sums: they stay in a large GPU's L2."""

DIRECT_CHANNELS = 4
"""Channels of a group up to which the direct kernels compute: a tile would be mostly empty."""
DIRECT_FILTERS = 8
"""Filters of a group up to which conv2d_backward_weight_direct does, with so few channels."""
DIRECT_COLUMNS = 128
"""Columns of a block of conv_direct.cuh."""
DIRECT_TAPS = 9
"""TAPS of conv2d_backward_weight.cu."""
STRIP = 4
"""STRIP of conv2d_forward.cu and conv2d_backward_input.cu."""
SLICE_TILES = 16
"""Fewest tiles of depth in a slice of a split sum: fewer would not pay for writing it."""


@dataclass(frozen=True)
class Tile:
    """The macros of conv_tile.cuh; `rate` estimates its speed as a part of the largest one's."""

    m: int
    n: int
    thread_m: int
    thread_n: int
    rate: float
    k: int = 8

    @property
    def threads(self) -> int:
        return self.m // self.thread_m * (self.n // self.thread_n)

    @property
    def macros(self) -> tuple[tuple[str, int], ...]:
        return (
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("THREAD_M", self.thread_m),
            ("THREAD_N", self.thread_n),
        )

    def blocks(self, rows: int, columns: int) -> int:
        return -(-rows // self.m) * -(-columns // self.n)


# The rates are estimated from the shared loads a multiply-add, 1/thread_m + 1/thread_n, and the
# global ones, 1/m + 1/n; no GPU has measured them.
TILES = {
    "float32": (
        Tile(128, 128, 8, 8, 1.0),
        Tile(64, 128, 4, 8, 0.85),
        Tile(64, 64, 4, 4, 0.7),
        Tile(32, 64, 4, 4, 0.65),
    ),
    "float64": (Tile(64, 64, 4, 4, 1.0), Tile(32, 64, 4, 4, 0.95)),
}
"""The instantiations of each dtype. float64 needs two registers a sum: smaller tiles."""


def choose_tile(dtype: str, rows: int, columns: int, products: int, *, split: bool = False) -> Tile:
    """The tile with the least estimated time for `products` products of rows x columns.

    Every multiprocessor works through its share of the blocks; a share that is not whole counts as
    whole, unless the sums are split (then slices even it out).
    """

    def time(tile: Tile) -> float:
        share = products * tile.blocks(rows, columns) / MULTIPROCESSORS
        return (share if split else ceil(share)) * tile.m * tile.n / tile.rate

    return min(TILES[dtype], key=time)


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


def params(shape: Conv2dShape) -> Any:
    """Conv2dParams of common.cuh."""
    return struct(
        n=shape.n, c=shape.c, h=shape.h, w=shape.w,
        k=shape.k, r=shape.r, s=shape.s, p=shape.p, q=shape.q,
        stride_h=shape.stride[0], stride_w=shape.stride[1],
        pad_top=shape.padding[0][0], pad_left=shape.padding[1][0],
        dilation_h=shape.dilation[0], dilation_w=shape.dilation[1],
        groups=shape.groups,
    )  # fmt: skip


def depthwise(shape: Conv2dShape) -> bool:
    """One input channel a group: nothing to share between filters."""
    return shape.groups > 1 and shape.c == shape.groups


class KernelConvolution(KernelArrayOps, ConvolutionOps):
    """The convolution family on kernels."""

    def _conv2d_forward(
        self, shape: Conv2dShape, x: Array, w: Array, b: Array | None, relu: bool
    ) -> Array:
        y = self.empty(shape.y_shape, x.dtype)
        args = [x, w, b, y, params(shape), relu]
        filters, pixels = shape.k // shape.groups, shape.n * shape.p * shape.q
        if depthwise(shape):
            strips = shape.n * shape.k * -(-shape.p // STRIP) * shape.q
            self._launch_elements(
                "conv2d_forward", strips, args, dtype=x.dtype, symbol="conv2d_forward_depthwise"
            )
        elif shape.c // shape.groups <= DIRECT_CHANNELS:
            a_thread = 4 if filters <= 4 else 16
            blocks = shape.groups * -(-filters // a_thread) * -(-pixels // DIRECT_COLUMNS)
            self._launch(
                "conv2d_forward", (blocks, 1, 1), (DIRECT_COLUMNS, 1, 1), args, dtype=x.dtype,
                symbol="conv2d_forward_direct", macros=[("FILTERS", a_thread)],
            )  # fmt: skip
        else:
            tile = choose_tile(x.dtype.name, filters, pixels, shape.groups)
            blocks = shape.groups * tile.blocks(filters, pixels)
            self._launch_tiles("conv2d_forward", tile, blocks, args, x.dtype)
        return y

    def _conv2d_backward_input(self, shape: Conv2dShape, dy: Array, w: Array) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        args = [dy, w, dx, params(shape)]
        channels = shape.c // shape.groups
        high, wide = min(shape.stride[0], shape.h), min(shape.stride[1], shape.w)
        most = -(-shape.h // high)  # rows of the largest phase
        columns = shape.n * most * -(-shape.w // wide)
        products = shape.groups * high * wide
        if depthwise(shape):
            strips = shape.n * shape.c * -(-most // STRIP) * high * shape.w
            self._launch_elements(
                "conv2d_backward_input", strips, args, dtype=dy.dtype,
                symbol="conv2d_backward_input_depthwise",
            )  # fmt: skip
        elif channels <= DIRECT_CHANNELS:
            blocks = products * -(-columns // DIRECT_COLUMNS)
            self._launch(
                "conv2d_backward_input", (blocks, 1, 1), (DIRECT_COLUMNS, 1, 1), args,
                dtype=dy.dtype, symbol="conv2d_backward_input_direct",
            )  # fmt: skip
        else:
            tile = choose_tile(dy.dtype.name, channels, columns, products)
            blocks = products * tile.blocks(channels, columns)
            self._launch_tiles("conv2d_backward_input", tile, blocks, args, dy.dtype)
        return dx

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        dw = self.empty(shape.w_shape, dy.dtype)
        pixels, one_part = shape.n * shape.p * shape.q, dw.size * dy.dtype.itemsize
        filters, depth = shape.k // shape.groups, dw.size // shape.k
        direct = shape.c // shape.groups <= DIRECT_CHANNELS and filters <= DIRECT_FILTERS
        a_thread = 1 if filters == 1 else 4
        if direct:
            blocks = shape.groups * -(-filters // a_thread) * -(-depth // DIRECT_TAPS)
            quantum = 4 * THREADS
        else:
            tile = choose_tile(dy.dtype.name, filters, depth, shape.groups, split=True)
            blocks, quantum = shape.groups * tile.blocks(filters, depth), SLICE_TILES * tile.k
        slices, length = split(pixels, blocks, quantum, one_part)
        parts = dw if slices == 1 else self.empty((slices, *shape.w_shape), dy.dtype)
        args = [dy, x, parts, params(shape), length]
        if direct:
            self._launch(
                "conv2d_backward_weight", (slices * blocks, 1, 1), (THREADS, 1, 1), args,
                dtype=dy.dtype, symbol="conv2d_backward_weight_direct",
                macros=[("FILTERS", a_thread)],
            )  # fmt: skip
        else:
            self._launch_tiles("conv2d_backward_weight", tile, slices * blocks, args, dy.dtype)
        self._reduce("conv2d_backward_weight", parts, dw, slices)
        return dw

    def _conv2d_backward_bias(self, dy: Array) -> Array:
        n, k, p, q = dy.shape
        db = self.empty((k,), dy.dtype)
        n, pixels = (n, p * q) if p * q else (0, 1)
        slices, length = split(n * pixels, max(1, k), 4 * THREADS, max(1, k) * dy.dtype.itemsize)
        parts = db if slices == 1 else self.empty((slices, k), dy.dtype)
        self._launch(
            "conv2d_backward_bias", (slices * k, 1, 1), (THREADS, 1, 1),
            [dy, parts, n, k, pixels, length], dtype=dy.dtype,
        )  # fmt: skip
        self._reduce("conv2d_backward_bias", parts, db, slices)
        return db

    def _reduce(self, file: str, parts: Array, out: Array, slices: int) -> None:
        """Add the parts of a split sum; nothing to do where the one part is the sum."""
        if slices > 1:
            symbol = f"{file}_reduce"
            args = [parts, out, out.size, slices]
            self._launch_elements(file, out.size, args, dtype=out.dtype, symbol=symbol)

    def _launch_tiles(
        self, file: str, tile: Tile, blocks: int, args: list[Any], dtype: Any
    ) -> None:
        grid, block = (blocks, 1, 1), (tile.threads, 1, 1)
        self._launch(file, grid, block, args, dtype=dtype, macros=tile.macros)
