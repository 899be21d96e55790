"""Batch normalisation of each channel."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Parameter, Shape, image_shape
from gpucnn.layers.fusion import ALONE
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import number


@implements("A24")
class BatchNorm2d(Layer):
    """y = γ·(x - mean)/√(var + eps) + β, each channel over N, H, W (as torch.nn.BatchNorm2d).

    Parameters gamma and beta (C,), buffers running_mean and running_var (C,), which a training
    forward moves by `momentum` towards the batch's mean and unbiased variance and evaluation
    uses. A frozen layer normalises with the batch in training all the same, as in PyTorch.

    At the end of a residual's body it may have a part in the sum: `residual` is what its next
    forward adds, and `residual_gradient` what its last backward gave for it, each for one pass.
    """

    fusion = ALONE

    def __init__(
        self,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.momentum = number("momentum", momentum, 0, 1)
        self.eps = number("eps", eps, 0, open_high=True)
        self.gamma: Parameter
        self.beta: Parameter
        self.residual: Array | None = None
        self.residual_gradient: Array | None = None

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        c, _, _ = image_shape(input_shape)
        ones = ops.zeros((c,), dtype)
        ones[...] = 1
        self.gamma = self._add_parameter("gamma", ones)
        self.beta = self._add_parameter("beta", ops.zeros((c,), dtype))
        variance = ops.zeros((c,), dtype)
        variance[...] = 1
        self._buffers = {"running_mean": ops.zeros((c,), dtype), "running_var": variance}
        return input_shape

    @property
    def running_mean(self) -> Array:
        return self._buffers["running_mean"]

    @property
    def running_var(self) -> Array:
        return self._buffers["running_var"]

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        residual, self.residual = self.residual, None
        return self.ops.batch_norm2d_forward(
            x,
            self.gamma.value,
            self.beta.value,
            self.running_mean,
            self.running_var,
            train=train,
            momentum=self.momentum,
            eps=self.eps,
            residual=residual,
            activation=self.fusion.activation,
            activation_backward=self.fusion.cut,
        )

    def take_gradient(self) -> Array:
        """`residual_gradient`, which is let go."""
        gradient, self.residual_gradient = self.residual_gradient, None
        return gradient

    def _backward(self, dy: Array, saved: Any) -> Array:
        gradients = self.ops.batch_norm2d_backward(dy, saved, self.gamma.value)
        dx, dgamma, dbeta, *rest = gradients
        self.residual_gradient = rest[0] if rest else None
        if not self.gamma.frozen:
            self.gamma.set_grad(dgamma)
        if not self.beta.frozen:
            self.beta.set_grad(dbeta)
        return dx
