"""Convolution on kernels: each pass is launched as its plan says (conv_plan.py)."""

from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps, struct
from gpucnn.ops.kernels.conv_plan import ConvPlan, Operation, plan, split, through_registers
from gpucnn.ops.kernels.conv_tuner import Tuner
from gpucnn.ops.shapes import Conv2dShape


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


class KernelConvolution(KernelArrayOps, ConvolutionOps):
    """The convolution family on kernels."""

    tuner: Tuner | None = None
    """Chooses among the plans of the same bits by measuring them; None: the estimates do."""

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
        args = [x, w, b, residual, y, params(shape), relu]
        self._run(self._plan("conv2d_forward", shape, x.dtype), shape, args, x.dtype)
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
        args = [dy, w, residual, relu_y, dx, params(shape)]
        self._run(self._plan("conv2d_backward_input", shape, dy.dtype), shape, args, dy.dtype)
        return dx

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        dw = self.empty(shape.w_shape, dy.dtype)
        found = self._plan("conv2d_backward_weight", shape, dy.dtype)
        slices = found.slices
        parts = dw if slices == 1 else self.empty((slices, *shape.w_shape), dy.dtype)
        args = [dy, x, parts, params(shape), found.length]
        self._run(found, shape, args, dy.dtype)
        self._reduce("conv2d_backward_weight", parts, dw, slices)
        return dw

    def _plan(self, operation: Operation, shape: Conv2dShape, dtype: Any) -> ConvPlan:
        found = plan(operation, shape, dtype.name)
        if self.launcher.copies_asynchronously:
            return found
        return through_registers(found, dtype.name)

    def _run(self, found: ConvPlan, shape: Conv2dShape, args: list[Any], dtype: Any) -> None:
        """Launch `found`, or what the tuner chooses in its place."""
        if self.tuner is not None:
            found = self.tuner.choose(
                found, shape, dtype.name, lambda other: self._launch_plan(other, args, dtype),
                measuring=not self.launcher.capturing,
            )  # fmt: skip
        self._launch_plan(found, args, dtype)

    def _launch_plan(self, found: ConvPlan, args: list[Any], dtype: Any) -> None:
        file, symbol = found.operation, found.symbol
        if found.kind == "depthwise":
            self._launch_elements(
                file, found.products, args, dtype=dtype, symbol=symbol, macros=found.macros
            )
            return
        grid, block = (found.blocks, 1, 1), (found.threads, 1, 1)
        self._launch(file, grid, block, args, dtype=dtype, symbol=symbol, macros=found.macros)

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
