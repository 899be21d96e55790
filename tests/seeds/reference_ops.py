"""gpucnn.reference behind the Ops contract, so that one golden test runs on it and on the devices.

Arrays are NumPy's; the reference computes in float64 and the result is rounded to x's dtype. What
the reference does not have is refused: a NumPy method of `cpu` never answers in its place.
"""

from typing import Any, NoReturn

from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import ArrayOps
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.reference import convolution
from tests.seeds.arrays import rounded, unsupported
from tests.seeds.reference_dense_ops import ReferenceDense
from tests.seeds.reference_pooling_ops import ReferencePooling


def conv_settings(shape: Conv2dShape) -> dict[str, Any]:
    return {
        "stride": shape.stride,
        "padding": shape.padding,
        "dilation": shape.dilation,
        "groups": shape.groups,
    }


class ReferenceOps(ReferencePooling, ReferenceDense, NumpyOps):
    """The methods that gpucnn.reference can answer; the others raise LookupError."""

    name = "reference"

    def _conv2d_forward(
        self,
        shape: Conv2dShape,
        x: Array,
        w: Array,
        b: Array | None,
        residual: Array | None,
        relu: bool,
    ) -> Array:
        y = rounded(convolution.conv2d_forward(x, w, b, **conv_settings(shape)), x.dtype)
        y = y if residual is None else y + residual
        return self._relu_forward(y) if relu else y

    def _conv2d_backward_input(
        self,
        shape: Conv2dShape,
        dy: Array,
        w: Array,
        residual: Array | None,
        relu_y: Array | None,
    ) -> Array:
        dx = convolution.conv2d_backward_input(dy, w, shape.x_shape, **conv_settings(shape))
        dx = rounded(dx, dy.dtype)
        dx = dx if residual is None else dx + residual
        return dx if relu_y is None else self._relu_backward(dx, relu_y)

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        dw = convolution.conv2d_backward_weight(dy, x, shape.w_shape, **conv_settings(shape))
        return rounded(dw, dy.dtype)

    def _conv2d_backward_bias(self, dy: Array) -> Array:
        return rounded(convolution.conv2d_backward_bias(dy), dy.dtype)


def _refused(method: str) -> Any:
    def refuse(self: Any, *args: Any, **kw: Any) -> NoReturn:
        raise unsupported(method.lstrip("_"))

    return refuse


_answered = {*vars(ReferenceOps), *vars(ReferencePooling), *vars(ReferenceDense)}
_answered |= set(ArrayOps.__abstractmethods__)  # they compute nothing
for _name in Ops.__abstractmethods__:
    if _name.startswith("_") and _name not in _answered:
        setattr(ReferenceOps, _name, _refused(_name))
