"""The fully connected layer."""

from typing import Any

from gpucnn.draws import derive
from gpucnn.errors import ShapeError
from gpucnn.implements import implements
from gpucnn.initializers import check_initializer, initialize
from gpucnn.layers.base import Layer, Parameter, Shape, flag
from gpucnn.layers.fusion import ALONE
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.shapes import integer


@implements("A16")
class Linear(Layer):
    """y = x·wᵀ + b: (features,) -> (units,) (S0 §6, S2; as torch.nn.Linear).

    weight (units, features), bias (units,). Images are a ShapeError: put `flatten` before.
    """

    fusion = ALONE

    def __init__(
        self,
        units: int,
        *,
        bias: bool = True,
        init: str = "he_normal",
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.units = integer("units", units, minimum=1)
        self.use_bias = flag("bias", bias)
        self.init = check_initializer(init)
        self.weight: Parameter
        self.bias: Parameter | None = None

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                f"the input must be vectors (features,), got shape {input_shape}: put `flatten`"
                f" before"
            )
        (features,) = input_shape
        w_shape = (self.units, features)
        value = initialize(self.init, w_shape, features, self.units, derive(seed, "weight"), dtype)
        self.weight = self._add_parameter("weight", ops.asarray(value))
        if self.use_bias:
            self.bias = self._add_parameter("bias", ops.zeros((self.units,), dtype))
        return (self.units,)

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        bias = self.bias.value if self.bias else None
        activation = self.fusion.activation
        return self.ops.linear_forward(x, self.weight.value, bias, activation=activation), x

    def _backward(self, dy: Array, saved: Any) -> Array:
        relu_y = saved if self.fusion.relu_input else None
        dx, dw, db = self.ops.linear_backward(dy, saved, self.weight.value, relu_y=relu_y)
        if not self.weight.frozen:
            self.weight.set_grad(dw)
        if self.bias and not self.bias.frozen:
            self.bias.set_grad(db)
        return dx if self.needs_input_gradient else None

    def macs(self) -> int:
        return self.units * self.input_shape[0]
