"""The walks through a convolution: forward, and its gradients."""

from gpucnn.explain.forward import described, forward_steps
from gpucnn.explain.input_gradient import input_steps
from gpucnn.explain.numbers import convolution
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Walk
from gpucnn.explain.weight_gradient import bias_steps, weight_steps


def walk(settings: Settings) -> Walk:
    """Forward, then the three gradients."""
    n = convolution(settings)
    steps = (*forward_steps(n), *input_steps(n), *weight_steps(n), *bias_steps(n))
    return Walk("conv", f"A convolution and its gradients: {described(n)}", steps)


def forward(settings: Settings) -> Walk:
    """The windows of the forward pass."""
    n = convolution(settings)
    return Walk("conv-forward", f"Convolution forward: {described(n)}", forward_steps(n))


def backward_input(settings: Settings) -> Walk:
    """From δ to the gradient of the input."""
    n = convolution(settings)
    title = f"The gradient of a convolution's input: {described(n)}"
    return Walk("conv-backward-input", title, input_steps(n))


def backward_weight(settings: Settings) -> Walk:
    """From δ to the gradients of the kernel and the bias."""
    n = convolution(settings)
    title = f"The gradients of a convolution's weights: {described(n)}"
    return Walk("conv-backward-weight", title, (*weight_steps(n), *bias_steps(n)))
