"""Pools: which kernel suits a geometry, and its launch."""

from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.pooling import PoolingOps
from gpucnn.ops.kernels.base import GRID_STRIDE_BLOCKS, THREADS, KernelArrayOps, struct
from gpucnn.ops.shapes import Pool2dShape, window_extent

WARP = 32

LARGE_WINDOW = 32
"""Cells from which on a warp sums a window, not a thread: one for each lane."""

HUGE_WINDOW = 1024
"""Cells from which on a whole block sums a window."""

SCATTERED_CELLS = 16
"""Most cells between the starts of two windows that a thread writes alone in a scatter."""

ARGMAX = {"uint8": "uint8", "int32": "int"}


class KernelPooling(KernelArrayOps, PoolingOps):
    """The pooling family on kernels."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        y = self.empty(shape.y_shape, x.dtype)
        argmax = self.empty(shape.y_shape, shape.argmax_dtype)
        symbol = "max_pool2d_forward_2x2" if _in_pairs(shape) else None
        args = [x, y, argmax, _geometry(shape), column_major, y.size]
        self._launch_pool("max_pool2d_forward", y, args, symbol, shape.argmax_dtype)
        return y, argmax

    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        per_window = True
        if _in_pairs(shape):
            symbol = "max_pool2d_backward_2x2"
        elif _is_disjoint(shape) and shape.stride[0] * shape.stride[1] <= SCATTERED_CELLS:
            symbol = "max_pool2d_backward_scatter"
        else:
            symbol, per_window = "max_pool2d_backward", False
        over = dy if per_window else dx
        args = [dy, argmax, relu_y, dx, _geometry(shape), over.size]
        self._launch_pool("max_pool2d_backward", over, args, symbol, shape.argmax_dtype)
        return dx

    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array:
        y = self.empty(shape.y_shape, x.dtype)
        args = [x, y, _geometry(shape), include_pad, y.size]
        if shape.cells < LARGE_WINDOW:
            self._launch_pool("avg_pool2d_forward", y, args)
            return y
        windows = THREADS // WARP if shape.cells < HUGE_WINDOW else 1
        self._launch(
            "avg_pool2d_forward",
            (-(-y.size // windows), 1, 1),
            (THREADS // windows, windows, 1),
            args,
            dtype=y.dtype,
            symbol="avg_pool2d_forward_large",
        )
        return y

    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        args = [dy, dx, _geometry(shape), include_pad, dx.size]
        self._launch_pool("avg_pool2d_backward", dx, args)
        return dx

    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array:
        y = self.empty(shape.y_shape, x.dtype)
        self._launch_pool("lp_pool2d_forward", y, [x, y, _geometry(shape), p, y.size])
        return y

    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array:
        dx = self.empty(shape.x_shape, dy.dtype)
        self._launch_pool("lp_pool2d_backward", dx, [dy, x, y, dx, _geometry(shape), p, dx.size])
        return dx

    def _launch_pool(
        self,
        file: str,
        over: Array,
        args: list[Any],
        symbol: str | None = None,
        argmax_dtype: str | None = None,
    ) -> None:
        """Launch a kernel whose threads loop over the elements of `over`."""
        blocks = min(-(-over.size // THREADS), GRID_STRIDE_BLOCKS)
        macros = () if argmax_dtype is None else (("ARGMAX", ARGMAX[argmax_dtype]),)
        self._launch(
            file,
            (blocks, 1, 1),
            (THREADS, 1, 1),
            args,
            dtype=over.dtype,
            symbol=symbol,
            macros=macros,
        )


def _geometry(shape: Pool2dShape) -> Any:
    """Pool2dParams of common.cuh."""
    (top, bottom), (left, right) = shape.padding
    return struct(
        n=shape.n,
        c=shape.c,
        h=shape.h,
        w=shape.w,
        p=shape.p,
        q=shape.q,
        kernel_h=shape.kernel[0],
        kernel_w=shape.kernel[1],
        stride_h=shape.stride[0],
        stride_w=shape.stride[1],
        pad_top=top,
        pad_bottom=bottom,
        pad_left=left,
        pad_right=right,
        dilation_h=shape.dilation[0],
        dilation_w=shape.dilation[1],
    )


def _in_pairs(shape: Pool2dShape) -> bool:
    """Whether windows are 2x2 and tile every row from its beginning to its end."""
    settings = (shape.kernel, shape.stride, shape.dilation, shape.padding)
    return settings == ((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))) and shape.w % 2 == 0


def _is_disjoint(shape: Pool2dShape) -> bool:
    """Whether no cell belongs to two windows."""
    return all(
        stride >= window_extent(kernel, dilation)
        for stride, kernel, dilation in zip(shape.stride, shape.kernel, shape.dilation, strict=True)
    )
