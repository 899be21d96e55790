"""The pools of gpucnn.reference as the contract's methods."""

from typing import Any

from gpucnn.ops.base import Array
from gpucnn.ops.shapes import Pool2dShape
from gpucnn.reference import pooling
from gpucnn.reference.windows import Windows
from tests.seeds.arrays import rounded, unsupported


def pool_settings(shape: Pool2dShape) -> dict[str, Any]:
    """Kernel, stride and padding; dilation and ceil_mode are refused where they matter."""
    settings = {"kernel_size": shape.kernel, "stride": shape.stride, "padding": shape.padding}
    if shape.dilation != (1, 1):
        raise unsupported("dilated pool")
    if Windows.over(shape.x_shape, **settings).y_shape(shape.n, shape.c) != shape.y_shape:
        raise unsupported("pool with ceil_mode")
    return settings


class ReferencePooling:
    """The pooling family."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        order = "column_major" if column_major else "row_major"
        y, argmax = pooling.max_pool2d(x, **pool_settings(shape), tie_break=order)
        return rounded(y, x.dtype), rounded(argmax, shape.argmax_dtype)

    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array:
        if relu_y is not None:
            raise unsupported("max pooling's gradient with ReLU's")
        dx = pooling.max_pool2d_backward(dy, argmax, shape.x_shape, **pool_settings(shape))
        return rounded(dx, dy.dtype)

    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array:
        y = pooling.avg_pool2d(x, **pool_settings(shape), count_include_pad=include_pad)
        return rounded(y, x.dtype)

    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array:
        dx = pooling.avg_pool2d_backward(
            dy, shape.x_shape, **pool_settings(shape), count_include_pad=include_pad
        )
        return rounded(dx, dy.dtype)

    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array:
        return rounded(pooling.lp_pool2d(x, shape.kernel, shape.stride, p), x.dtype)

    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array:
        dx = pooling.lp_pool2d_backward(dy, x, y, shape.kernel, shape.stride, p)
        return rounded(dx, dy.dtype)
