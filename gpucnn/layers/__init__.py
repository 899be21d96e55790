"""The layers, each usable alone: build, then forward(x, train=...) and backward(dy)."""

from gpucnn.layers.activations import LeakyRelu, Relu, Sigmoid, Softmax, Tanh
from gpucnn.layers.avg_pool2d import AvgPool2d
from gpucnn.layers.base import Layer, Parameter
from gpucnn.layers.batch_norm2d import BatchNorm2d
from gpucnn.layers.concat import Concat
from gpucnn.layers.conv2d import Conv2d
from gpucnn.layers.conv_transpose2d import ConvTranspose2d
from gpucnn.layers.dropout import DropBlock2d, Dropout, Dropout2d
from gpucnn.layers.flatten import Flatten
from gpucnn.layers.global_avg_pool2d import GlobalAvgPool2d
from gpucnn.layers.linear import Linear
from gpucnn.layers.lp_pool2d import LpPool2d
from gpucnn.layers.max_pool2d import MaxPool2d
from gpucnn.layers.neighbours import fuse, unfuse
from gpucnn.layers.residual import Residual
from gpucnn.layers.sequential import Sequential
from gpucnn.layers.windows import ROUNDINGS
from gpucnn.ops.contract.arrays import choice

LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (
        Conv2d,
        ConvTranspose2d,
        MaxPool2d,
        AvgPool2d,
        LpPool2d,
        GlobalAvgPool2d,
        Flatten,
        Relu,
        LeakyRelu,
        Sigmoid,
        Tanh,
        Softmax,
        Linear,
        BatchNorm2d,
        Dropout,
        Dropout2d,
        DropBlock2d,
        Sequential,
        Residual,
        Concat,
    )
}
"""Name in a config -> class; the class's keywords are the config's keys."""


def set_rounding(model: Layer, rounding: str) -> None:
    """Make "strict" or "floor" the rule of every layer in `model` without a `rounding` of its own.

    Call it before build. Raises ConfigError for any other value.
    """
    choice("rounding", rounding, ROUNDINGS)
    for layer in model.walk():
        layer.strict = rounding == "strict"


def skip_input_gradient(model: Layer) -> None:
    """Spare the model's first layer its dx, which training does not use, where it can.

    That is a conv2d or linear at the head of (nested) sequentials; backward then returns None.
    """
    first = model
    while isinstance(first, Sequential) and first.layers:
        first = first.layers[0]
    if isinstance(first, (Conv2d, Linear)):
        first.needs_input_gradient = False


__all__ = [
    "LAYERS",
    "AvgPool2d",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "DropBlock2d",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "GlobalAvgPool2d",
    "Layer",
    "LeakyRelu",
    "Linear",
    "LpPool2d",
    "MaxPool2d",
    "Parameter",
    "Relu",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "fuse",
    "set_rounding",
    "skip_input_gradient",
    "unfuse",
]
