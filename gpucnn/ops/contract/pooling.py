"""Maximum, average and power-average pools, forward and backward."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps, choice, number
from gpucnn.ops.shapes import Pool2dShape


class PoolingOps(ArrayOps):
    """x (N, C, H, W), y (N, C, P, Q); `stride` None means `kernel_size`."""

    @implements("A9", "C7", "S3:4.2")
    def max_pool2d_forward(
        self,
        x: Array,
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        tie_break: str = "row_major",
    ) -> tuple[Array, Array]:
        """Return y and argmax, the winner's row-major place inside its window (S0 §3, S3 (4.1)).

        argmax has y's shape, uint8 where the window has at most 256 cells, else int32. Among
        equals "row_major" takes the first in reading order, "column_major" the smallest column,
        then the smallest row (S3). NaN wins a window; padding never does.
        """
        self._check("x", x, ndim=4)
        choice("tie_break", tie_break, ("row_major", "column_major"))
        shape = Pool2dShape.of(
            x.shape,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
        )
        return self._max_pool2d_forward(shape, x, tie_break == "column_major")

    @implements("A9", "A10", "P1", "S0:3", "S3:4.5", "S3:4.6")
    def max_pool2d_backward(
        self,
        dy: Array,
        argmax: Array,
        x_shape: Sequence[int],
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        relu_y: Array | None = None,
    ) -> Array:
        """Return dx: each dy at its window's winner; overlapping windows add up (S3 (4.6)).

        Where x was ReLU's result, `relu_y`, the forward's y, makes dx ReLU's gradient as well: the
        winner is y, so where y <= 0 its dy counts as 0.
        """
        self._check("dy", dy, ndim=4)
        shape = Pool2dShape.of(
            x_shape,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
        )
        self._check("dy", dy, shape=shape.y_shape)
        self._check("argmax", argmax, shape=shape.y_shape, dtype=shape.argmax_dtype)
        if relu_y is not None:
            self._check("relu_y", relu_y, shape=shape.y_shape, dtype=dy.dtype.name)
        return self._max_pool2d_backward(shape, dy, argmax, relu_y)

    @implements("A11", "A12")
    def avg_pool2d_forward(
        self,
        x: Array,
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Return y, each window's mean (S0 §3, S2; as torch.nn.AvgPool2d).

        With `count_include_pad` the divisor counts cells up to the padded edge and no further;
        without it, the real cells alone.
        """
        self._check("x", x, ndim=4)
        shape = Pool2dShape.of(
            x.shape, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode
        )
        return self._avg_pool2d_forward(shape, x, count_include_pad)

    @implements("A11", "A12", "P2", "S0:3")
    def avg_pool2d_backward(
        self,
        dy: Array,
        x_shape: Sequence[int],
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Return dx: dy over its window's divisor, to every cell of the window (S0 §3)."""
        self._check("dy", dy, ndim=4)
        shape = Pool2dShape.of(
            x_shape, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode
        )
        self._check("dy", dy, shape=shape.y_shape)
        return self._avg_pool2d_backward(shape, dy, count_include_pad)

    @implements("A13")
    def lp_pool2d_forward(
        self, x: Array, *, kernel_size: Any, stride: Any = None, p: float = 2
    ) -> Array:
        """Return y = (Σ|x|^p)^(1/p) of each window, p >= 1 (S2's L2 pool; no mean)."""
        self._check("x", x, ndim=4)
        shape = Pool2dShape.of(x.shape, kernel_size=kernel_size, stride=stride)
        return self._lp_pool2d_forward(shape, x, number("p", p, 1, open_high=True))

    @implements("A13")
    def lp_pool2d_backward(
        self, dy: Array, x: Array, y: Array, *, kernel_size: Any, stride: Any = None, p: float = 2
    ) -> Array:
        """Return dx = dy·sign(x)·(|x|/y)^(p-1), summed over the windows; 0 where y = 0."""
        self._check("x", x, ndim=4)
        shape = Pool2dShape.of(x.shape, kernel_size=kernel_size, stride=stride)
        self._check("dy", dy, shape=shape.y_shape, dtype=x.dtype.name)
        self._check("y", y, shape=shape.y_shape, dtype=x.dtype.name)
        return self._lp_pool2d_backward(shape, dy, x, y, number("p", p, 1, open_high=True))

    @abstractmethod
    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array: ...

    @abstractmethod
    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array: ...

    @abstractmethod
    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array: ...

    @abstractmethod
    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array: ...

    @abstractmethod
    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array: ...
