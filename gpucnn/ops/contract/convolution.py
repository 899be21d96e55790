"""Convolution: forward, and its three gradients as operations of their own."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from gpucnn.errors import ShapeError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps
from gpucnn.ops.contract.elementwise import ends_in_relu
from gpucnn.ops.shapes import Conv2dShape


class ConvolutionOps(ArrayOps):
    """x (N, C, H, W), w (K, C/groups, R, S), y (N, K, P, Q).

    `stride` and `dilation` are an int or (height, width); `padding` an int, (height, width) or
    ((top, bottom), (left, right)).
    """

    @implements("C1", "C5", "A3", "A28", "S3:2.4", "S4:1", "S4:7.1", "S4:7.2")
    def conv2d_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        residual: Array | None = None,
        activation: str | None = None,
    ) -> Array:
        """Return y = x ⋆ w + b, cross-correlation (S4 eq. 2; as torch.nn.functional.conv2d).

        y[n,k,p,q] = b[k] + Σ_{c,r,s} x_pad[n, c, p·stride+r·dilation, q·stride+s·dilation]
        · w[k,c,r,s]; then `residual`, of y's shape, is added and `activation="relu"` applies ReLU,
        to the bits of `add` and `relu_forward`. b is (K,). Raises ShapeError, DeviceError
        (arrays), ConfigError (settings).
        """
        self._check("x", x, ndim=4)
        self._check("w", w, ndim=4, dtype=x.dtype.name)
        shape = Conv2dShape.of(
            x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        if b is not None:
            self._check("b", b, shape=(shape.k,), dtype=x.dtype.name)
        if residual is not None:
            self._check("residual", residual, shape=shape.y_shape, dtype=x.dtype.name)
        return self._conv2d_forward(shape, x, w, b, residual, ends_in_relu(activation))

    @implements("A4", "A5", "A6", "S0:4", "S1:3.2", "S2:BP2", "S3:2.28", "S4:15")
    def conv2d_backward_input(
        self,
        dy: Array,
        w: Array,
        x_shape: Sequence[int],
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        residual: Array | None = None,
        relu_y: Array | None = None,
    ) -> Array:
        """Return dx: δ dilated by the stride, padded, convolved in full with rot180(w).

        Input and output channels are swapped (S4 eq. 15, S2 BP2). `x_shape` is any shape whose
        forward output has dy's size; input cells that no window reaches get 0. `residual`, another
        gradient of x, is added. With `relu_y`, x itself where it came out of a ReLU, dx passes that
        ReLU's backward as well: 0 where x <= 0. Both have `x_shape`; the bits are those of `add`
        and `relu_backward`.
        """
        self._check("dy", dy, ndim=4)
        self._check("w", w, ndim=4, dtype=dy.dtype.name)
        shape = Conv2dShape.of(
            x_shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        _check_dy(dy, shape)
        for name, a in (("residual", residual), ("relu_y", relu_y)):
            if a is not None:
                self._check(name, a, shape=shape.x_shape, dtype=dy.dtype.name)
        return self._conv2d_backward_input(shape, dy, w, residual, relu_y)

    @implements("A6", "A7", "S0:5", "S1:3.1", "S2:BP4", "S3:2.21", "S4:18")
    def conv2d_backward_weight(
        self,
        dy: Array,
        x: Array,
        w_shape: Sequence[int],
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Array:
        """Return dw = x ⋆ (δ dilated by the stride), summed over the batch (S4 eq. 18, S2 BP4)."""
        self._check("dy", dy, ndim=4)
        self._check("x", x, ndim=4, dtype=dy.dtype.name)
        shape = Conv2dShape.of(
            x.shape, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        _check_dy(dy, shape)
        return self._conv2d_backward_weight(shape, dy, x)

    @implements("A8", "S0:5", "S2:BP3", "S4:19")
    def conv2d_backward_bias(self, dy: Array) -> Array:
        """Return db (K,): dy (N, K, P, Q) summed over N, P and Q (S4 eq. 19, S2 BP3)."""
        self._check("dy", dy, ndim=4)
        return self._conv2d_backward_bias(dy)

    @abstractmethod
    def _conv2d_forward(
        self,
        shape: Conv2dShape,
        x: Array,
        w: Array,
        b: Array | None,
        residual: Array | None,
        relu: bool,
    ) -> Array: ...

    @abstractmethod
    def _conv2d_backward_input(
        self,
        shape: Conv2dShape,
        dy: Array,
        w: Array,
        residual: Array | None,
        relu_y: Array | None,
    ) -> Array: ...

    @abstractmethod
    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array: ...

    @abstractmethod
    def _conv2d_backward_bias(self, dy: Array) -> Array: ...


def _check_dy(dy: Array, shape: Conv2dShape) -> None:
    if dy.shape != shape.y_shape:
        raise ShapeError(
            f"dy has shape {dy.shape}, but x {shape.x_shape} with w {shape.w_shape}, stride"
            f" {shape.stride}, padding {shape.padding}, dilation {shape.dilation}, groups"
            f" {shape.groups} gives {shape.y_shape}"
        )
