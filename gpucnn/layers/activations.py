"""Activations: one number in, one number out, except softmax, which takes the last axis whole."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.fusion import ALONE
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import number


class Activation(Layer):
    """Base: the output has the input's shape."""

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        return input_shape


@implements("C5", "S4:6")
class Relu(Activation):
    """y = x where x > 0, else 0; the gradient at 0 is 0, NaN passes (S3 §5)."""

    fusion = ALONE

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        # y has the same sign as the mask needs (y > 0 where x > 0, NaN where NaN), and the next
        # layer keeps y anyway: saving it instead of x halves the memory of activations.
        y = x if self.fusion.no_forward else self.ops.relu_forward(x)
        return y, None if self.fusion.no_backward else y

    def _backward(self, dy: Array, saved: Any) -> Array:
        return dy if self.fusion.no_backward else self.ops.relu_backward(dy, saved)


class LeakyRelu(Activation):
    """y = x where x > 0, else negative_slope·x (as torch.nn.LeakyReLU)."""

    def __init__(
        self,
        *,
        negative_slope: float = 0.01,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.negative_slope = number(
            "negative_slope", negative_slope, float("-inf"), open_high=True
        )

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        return self.ops.leaky_relu_forward(x, negative_slope=self.negative_slope), x

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.leaky_relu_backward(dy, saved, negative_slope=self.negative_slope)


@implements("A18")
class Sigmoid(Activation):
    """y = 1/(1 + e^-x) (S3)."""

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y = self.ops.sigmoid_forward(x)
        return y, y

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.sigmoid_backward(dy, saved)


class Tanh(Activation):
    """y = tanh(x)."""

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y = self.ops.tanh_forward(x)
        return y, y

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.tanh_backward(dy, saved)


@implements("A19")
class Softmax(Activation):
    """y = e^x / Σ e^x over the last axis (S0 §6).

    Not before the loss softmax_cross_entropy, which takes logits and has its own softmax.
    """

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y = self.ops.softmax_forward(x)
        return y, y

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.softmax_backward(dy, saved)
