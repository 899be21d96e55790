"""S0 §6: batch gradient descent on a CNN, step by step as the source lists it. Float64.

Layers are given by their settings; W and b of layer l are `parameters[l]`, None for a pool. S0's
W^l, z^l, a^l are `parameters[l].w`, `z[l]`, `a[l + 1]` here, where layers count from 0 (C10) and
a[0] is the input. Convolutions and fully connected layers hold their activation, as S0 has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements
from gpucnn.reference.activations import (
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from gpucnn.reference.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
)
from gpucnn.reference.dense import flatten, linear, linear_backward, unflatten
from gpucnn.reference.losses import cross_entropy
from gpucnn.reference.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

Floats = NDArray[np.float64]

# σ, and δ (.) σ'(z) from δ and z. The identity is a pool's σ (S0 §2) and the output layer's, whose
# softmax belongs to the loss.
ACTIVATIONS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats, Floats], Floats]]] = {
    "identity": (lambda z: z, lambda delta, z: delta),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, lambda delta, z: sigmoid_backward(delta, sigmoid(z))),
    "tanh": (tanh, lambda delta, z: tanh_backward(delta, tanh(z))),
}


class Parameters(NamedTuple):
    """W and b of a layer, or their changes."""

    w: Floats
    b: Floats


@dataclass(frozen=True)
class Convolution:
    """Kernels of S0's size K and dimension F, with padding P and stride S."""

    filters: int
    kernel_size: int
    padding: int = 0
    stride: int = 1
    activation: str = "relu"

    def w_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.filters, input_shape[0], self.kernel_size, self.kernel_size

    def forward(self, a: Floats, p: Parameters) -> Floats:
        return conv2d_forward(a, p.w, p.b, stride=self.stride, padding=self.padding)

    def gradients(self, delta: Floats, a: Floats, p: Parameters) -> Parameters:
        """2-2-2: corr(a, δ), and δ summed over its places."""
        dw = conv2d_backward_weight(delta, a, p.w.shape, stride=self.stride, padding=self.padding)
        return Parameters(dw, conv2d_backward_bias(delta))

    def delta_below(self, delta: Floats, a: Floats, p: Parameters) -> Floats:
        """∂C/∂a: full correlation of δ with rot180(W), summed over the kernels."""
        return conv2d_backward_input(delta, p.w, a.shape, stride=self.stride, padding=self.padding)


@dataclass(frozen=True)
class FullyConnected:
    """`units` neurons; maps below are flattened."""

    units: int
    activation: str = "relu"

    def w_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.units, int(np.prod(input_shape))

    def forward(self, a: Floats, p: Parameters) -> Floats:
        return linear(_flat(a), p.w, p.b)

    def gradients(self, delta: Floats, a: Floats, p: Parameters) -> Parameters:
        """2-2-1: δ aᵀ and δ."""
        return Parameters(*linear_backward(delta, _flat(a), p.w)[1:])

    def delta_below(self, delta: Floats, a: Floats, p: Parameters) -> Floats:
        """∂C/∂a: Wᵀδ, in the shape of a."""
        below = linear_backward(delta, _flat(a), p.w)[0]
        return unflatten(below, a.shape) if a.ndim == 4 else below


@dataclass(frozen=True)
class Pooling:
    """Regions of size k, MAX or Average ("max", "average"); neither parameters nor activation."""

    size: int
    criterion: str = "max"
    activation: str = "identity"

    def __post_init__(self) -> None:
        if self.criterion not in ("max", "average"):
            raise ConfigError(f"criterion must be 'max' or 'average', got {self.criterion!r}")

    def forward(self, a: Floats, p: None) -> Floats:
        return max_pool2d(a, self.size)[0] if self.criterion == "max" else avg_pool2d(a, self.size)

    def delta_below(self, delta: Floats, a: Floats, p: None) -> Floats:
        """∂C/∂a: upsample(δ)."""
        if self.criterion == "average":
            return avg_pool2d_backward(delta, a.shape, self.size)
        argmax = max_pool2d(a, self.size)[1]
        return max_pool2d_backward(delta, argmax, a.shape, self.size)


Layer = Convolution | FullyConnected | Pooling


@implements("S0:6", "A21")
def initialize(
    layers: Sequence[Layer], input_shape: Sequence[int], seed: int
) -> list[Parameters | None]:
    """1) Random W and b for every layer that has them: normal, of deviation 1/√(numbers summed).

    `input_shape` is (C, H, W).
    """
    rng = np.random.default_rng(seed)
    a = np.zeros((1, *input_shape))
    parameters: list[Parameters | None] = []
    for layer in layers:
        p: Any = None
        if not isinstance(layer, Pooling):
            shape = layer.w_shape(a.shape[1:])
            scale = np.prod(shape[1:]) ** -0.5
            p = Parameters(
                scale * rng.standard_normal(shape), scale * rng.standard_normal(shape[0])
            )
        parameters.append(p)
        a = layer.forward(a, p)
    return parameters


@implements("A22")
def descend(w: Floats, dw: Floats, alpha: float) -> Floats:
    """w_(t+1) = w_t - α ∂z/∂w_t (S3 §1.2)."""
    return w - alpha * dw


@implements("S0:6", "A21", "E19", "E20", "E21")
def train(
    layers: Sequence[Layer],
    x: ArrayLike,
    labels: Sequence[int],
    *,
    alpha: float,
    max_iterations: int,
    epsilon: float,
    parameters: Sequence[Parameters | None] | None = None,
    seed: int = 0,
) -> tuple[list[Parameters | None], str]:
    """W and b of every layer, and why training stopped: "epsilon" or "max_iterations".

    x (m, C, H, W), labels (m,). The last layer is fully connected with activation "identity": its
    softmax is in the loss, cross entropy. The sums over the m samples are not divided by m, as in
    S0. `parameters` are the values to begin with; without them step 1) draws them from `seed`.

    Which rule takes δ^(l+1) to δ^l depends on the type of layer l + 1, whose W it uses; S0's d-1
    to d-3 go by that of layer l (E19).
    """
    x = np.asarray(x, np.float64)
    _check(layers, x, labels)
    current = list(initialize(layers, x.shape[1:], seed) if parameters is None else parameters)
    for _ in range(max_iterations):  # 2)
        total: list[Any] = [None if p is None else Parameters(0 * p.w, 0 * p.b) for p in current]
        for sample, label in zip(x, labels, strict=True):  # 2-1)
            for layer_total, gradients in zip(
                total, _one_sample(layers, current, sample[None], label), strict=True
            ):
                if layer_total is not None:
                    layer_total.w[...] += gradients.w
                    layer_total.b[...] += gradients.b
        largest = 0.0
        for number, p in enumerate(current):  # 2-2)
            if p is not None:
                updated = Parameters(
                    descend(p.w, total[number].w, alpha), descend(p.b, total[number].b, alpha)
                )
                changes = abs(updated.w - p.w).max(), abs(updated.b - p.b).max()
                largest = max(largest, *changes)
                current[number] = updated
        if largest < epsilon:  # 2-3): every |ΔW| and |Δb|
            return current, "epsilon"
    return current, "max_iterations"  # 3)


@implements("S0:6", "S4:4", "S4:6", "A26", "C5", "C10", "E13", "E19")
def _one_sample(
    layers: Sequence[Layer], parameters: Sequence[Any], x: Floats, label: int
) -> list[Any]:
    """2-1) a) to d): the gradients of every layer for one sample x (1, C, H, W)."""
    a, z = [x], []
    for layer, p in zip(layers, parameters, strict=True):  # a), b)
        z.append(layer.forward(a[-1], p))
        a.append(ACTIVATIONS[layer.activation][0](z[-1]))
    _, delta = cross_entropy(z[-1], [label], "sum")  # c): softmax, and δ^L
    gradients: list[Any] = [None] * len(layers)
    for number in reversed(range(len(layers))):  # d)
        layer, p = layers[number], parameters[number]
        if not isinstance(layer, Pooling):
            gradients[number] = layer.gradients(delta, a[number], p)
        if number > 0:
            slope = ACTIVATIONS[layers[number - 1].activation][1]
            delta = slope(layer.delta_below(delta, a[number], p), z[number - 1])
    return gradients


def _check(layers: Sequence[Layer], x: Floats, labels: Sequence[int]) -> None:
    last = layers[-1] if layers else None
    if not isinstance(last, FullyConnected) or last.activation != "identity":
        raise ConfigError(
            f"the last layer must be FullyConnected(..., activation='identity'), got {last}:"
            " the loss takes its softmax"
        )
    if x.ndim != 4 or len(x) != len(labels):
        raise ShapeError(
            f"x must be (m, C, H, W) with a label a sample, got {x.shape} and {len(labels)} labels"
        )


def _flat(a: Floats) -> Floats:
    return flatten(a) if a.ndim == 4 else a
