"""Transposed convolution: the gradient of a convolution, used forward."""

from typing import Any

from gpucnn.draws import derive
from gpucnn.errors import ConfigError, ShapeError
from gpucnn.initializers import check_initializer, initialize
from gpucnn.layers.base import Layer, Parameter, Shape, Window, flag, image_shape
from gpucnn.layers.windows import check_groups, check_padding, resolve_padding
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.shapes import Conv2dShape, Padding, integer, pair, window_extent


class ConvTranspose2d(Layer):
    """(C, H, W) -> (filters, P, Q), the adjoint of Conv2d (S4 eq. 15; as torch.nn.ConvTranspose2d).

    weight (C, filters/groups, R, S), bias (filters,).
    P = (H - 1)·stride - top - bottom + dilation·(R - 1) + output_padding + 1, Q likewise, with
    output_padding < stride. padding "same" gives P = H·stride (as TensorFlow) and takes no
    output_padding. The fans of `init` are C/groups·R·S and filters/groups·R·S.
    """

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
        output_padding: Any = 0,
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
        self.output_padding = pair("output_padding", output_padding, minimum=0)
        self.weight: Parameter
        self.bias: Parameter | None = None
        for extra, step in zip(self.output_padding, self.stride, strict=True):
            if extra >= step:
                raise ConfigError(
                    f"output_padding must be below the stride {self.stride}, got {output_padding!r}"
                )
        if self.padding == "same" and any(self.output_padding):
            raise ConfigError(
                f"padding 'same' decides the output's size: output_padding must be 0, got"
                f" {output_padding!r}"
            )

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        c, h, w = image_shape(input_shape)
        check_groups(self.groups, c, self.filters)
        r, s = self.kernel_size
        w_shape = (c, self.filters // self.groups, r, s)
        self._out, pads = self._output((h, w))
        self._settings: dict[str, Any] = {
            "stride": self.stride,
            "padding": pads,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        # The convolution whose gradient this is: from our output's shape to our input's.
        self._adjoint = Conv2dShape.of((1, self.filters, *self._out), w_shape, **self._settings)
        fan_in, fan_out = c // self.groups * r * s, w_shape[1] * r * s
        value = initialize(self.init, w_shape, fan_in, fan_out, derive(seed, "weight"), dtype)
        self.weight = self._add_parameter("weight", ops.asarray(value))
        if self.use_bias:
            self.bias = self._add_parameter("bias", ops.zeros((self.filters,), dtype))
        return self._adjoint.x_shape[1:]

    def _output(self, size: tuple[int, int]) -> tuple[tuple[int, int], Padding]:
        if self.padding == "same":
            p, q = (cells * step for cells, step in zip(size, self.stride, strict=True))
            kernel, stride, dilation = self.kernel_size, self.stride, self.dilation
            return (p, q), resolve_padding("same", (p, q), kernel, stride, dilation)
        pads = resolve_padding(self.padding, size, self.kernel_size, self.stride, self.dilation)
        p, q = (
            (size[i] - 1) * self.stride[i]
            - sum(pads[i])
            + window_extent(self.kernel_size[i], self.dilation[i])
            + self.output_padding[i]
            for i in range(2)
        )
        if min(p, q) < 1:
            raise ShapeError(
                f"input {size} with kernel_size {self.kernel_size}, stride {self.stride}, padding"
                f" {pads} and output_padding {self.output_padding} gives an output of {p} by {q}:"
                f" reduce the padding"
            )
        return (p, q), pads

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y_shape = (x.shape[0], self.filters, *self._out)
        y = self.ops.conv2d_backward_input(x, self.weight.value, y_shape, **self._settings)
        if self.bias:
            y += self.bias.value.reshape(-1, 1, 1)
        return y, x

    def _backward(self, dy: Array, saved: Any) -> Array:
        x, w = saved, self.weight.value
        if not self.weight.frozen:
            dw = self.ops.conv2d_backward_weight(x, dy, w.shape, **self._settings)
            self.weight.set_grad(dw)
        if self.bias and not self.bias.frozen:
            self.bias.set_grad(self.ops.conv2d_backward_bias(dy))
        return self.ops.conv2d_forward(dy, w, **self._settings)

    def macs(self) -> int:
        return self._adjoint.macs

    def window(self) -> Window:
        """The input cells that reach one output cell, and the step between outputs, 1/stride."""
        r, s = (
            dilation * (kernel - 1) // step + 1
            for kernel, step, dilation in zip(
                self.kernel_size, self.stride, self.dilation, strict=True
            )
        )
        return (r, s), (1 / self.stride[0], 1 / self.stride[1])
