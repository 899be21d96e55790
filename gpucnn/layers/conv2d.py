"""Convolution (cross-correlation) with learned filters."""

from collections.abc import Callable
from typing import Any

from gpucnn.draws import derive
from gpucnn.implements import implements
from gpucnn.initializers import check_initializer, initialize
from gpucnn.layers.base import Layer, Parameter, Shape, Window, flag, image_shape
from gpucnn.layers.fusion import ALONE
from gpucnn.layers.windows import (
    check_groups,
    check_padding,
    check_rounding,
    check_tiling,
    resolve_padding,
)
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.shapes import Conv2dShape, integer, pair, window_extent


@implements("A1", "A3", "C5")
class Conv2d(Layer):
    """y = x ⋆ w + b: (C, H, W) -> (filters, P, Q) (S4 eq. 2; as torch.nn.Conv2d).

    weight (filters, C/groups, R, S), bias (filters,). `padding` is an int, a pair,
    ((top, bottom), (left, right)), "valid" (none) or "same" (ceil(H/stride) outputs, an odd row
    or column at the bottom or right). Unless `rounding` is "floor", or the padding "same",
    (W - F + 2P)/S + 1 must be a whole number: build raises a ShapeError that lists settings that
    work (S4). The fans of `init` are C/groups·R·S and filters/groups·R·S.

    In a residual it may have a part in the sums: `residual` is what its next forward adds to y, and
    `dx_residual` gives what its next backward adds to dx, each for one pass. The latter is asked
    when it is needed, for layers of this backward may have to make it first.
    """

    fusion = ALONE

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        init: str = "he_normal",
        rounding: str | None = None,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.filters = integer("filters", filters, minimum=1)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = pair("stride", stride)
        self.padding = check_padding(padding)
        self.dilation = pair("dilation", dilation)
        self.groups = integer("groups", groups, minimum=1)
        self.use_bias = flag("bias", bias)
        self.init = check_initializer(init)
        self.rounding = check_rounding(rounding)
        self.weight: Parameter
        self.bias: Parameter | None = None
        self.residual: Array | None = None
        self.dx_residual: Callable[[], Array] | None = None

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        c, h, w = image_shape(input_shape)
        check_groups(self.groups, c, self.filters)
        r, s = self.kernel_size
        w_shape = (self.filters, c // self.groups, r, s)
        pads = resolve_padding(self.padding, (h, w), self.kernel_size, self.stride, self.dilation)
        self._settings: dict[str, Any] = {
            "stride": self.stride,
            "padding": pads,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        self._shape = Conv2dShape.of((1, c, h, w), w_shape, **self._settings)
        strict = self.strict if self.rounding is None else self.rounding == "strict"
        if strict and self.padding != "same":
            check_tiling((h, w), self.kernel_size, self.stride, pads, self.dilation)
        fan_in, fan_out = w_shape[1] * r * s, self.filters // self.groups * r * s
        value = initialize(self.init, w_shape, fan_in, fan_out, derive(seed, "weight"), dtype)
        self.weight = self._add_parameter("weight", ops.asarray(value))
        if self.use_bias:
            self.bias = self._add_parameter("bias", ops.zeros((self.filters,), dtype))
        return self._shape.y_shape[1:]

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        bias = self.bias.value if self.bias else None
        residual, self.residual = self.residual, None
        y = self.ops.conv2d_forward(
            x,
            self.weight.value,
            bias,
            **self._settings,
            residual=residual,
            activation=self.fusion.activation,
        )
        return y, x

    def _backward(self, dy: Array, saved: Any) -> Array:
        x, w = saved, self.weight.value
        if not self.weight.frozen:
            dw = self.ops.conv2d_backward_weight(dy, x, w.shape, **self._settings)
            self.weight.set_grad(dw)
        if self.bias and not self.bias.frozen:
            self.bias.set_grad(self.ops.conv2d_backward_bias(dy))
        if not self.needs_input_gradient:
            return None
        other, self.dx_residual = self.dx_residual, None
        return self.ops.conv2d_backward_input(
            dy,
            w,
            x.shape,
            **self._settings,
            residual=other() if other else None,
            relu_y=x if self.fusion.relu_input else None,
        )

    def macs(self) -> int:
        return self._shape.macs

    def window(self) -> Window:
        r, s = map(window_extent, self.kernel_size, self.dilation)
        return (r, s), self.stride
