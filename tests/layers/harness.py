"""Layers to test, each with inputs at which it is smooth, and how to run them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn import layers as gl
from gpucnn.layers.base import Layer
from gpucnn.ops.base import Ops

rng = np.random.default_rng


@dataclass(frozen=True)
class Case:
    """A layer, the shape of its input without N, and what its gradient check needs to know."""

    make: Callable[[], Layer]
    shape: tuple[int, ...]
    linear: bool = False
    """Whether y is linear in x (biases, being zero at the start, do not count)."""
    curvature: float = 0.0
    """A bound of the third derivatives of Σ y·g, |g| <= 1; 0 where y is piecewise linear."""


def _norm() -> Layer:
    return gl.BatchNorm2d()


CASES: dict[str, Case] = {
    "conv2d": Case(lambda: gl.Conv2d(3, 3), (2, 5, 4), linear=True),
    "conv2d_all": Case(
        lambda: gl.Conv2d(
            4, (3, 2), stride=(2, 1), padding=((0, 2), (1, 0)), dilation=(1, 2), groups=2
        ),
        (2, 5, 4),
        linear=True,
    ),
    "conv2d_same": Case(lambda: gl.Conv2d(2, (2, 3), padding="same"), (2, 3, 4), linear=True),
    "conv2d_same_stride": Case(
        lambda: gl.Conv2d(2, 3, stride=2, padding="same", bias=False), (2, 4, 5), linear=True
    ),
    "conv2d_depthwise": Case(lambda: gl.Conv2d(3, 2, groups=3, bias=False), (3, 3, 3), linear=True),
    "conv2d_floor": Case(lambda: gl.Conv2d(2, 3, stride=2, rounding="floor"), (1, 6, 6), True),
    "conv_transpose2d": Case(lambda: gl.ConvTranspose2d(3, 3, stride=2), (2, 3, 2), linear=True),
    "conv_transpose2d_all": Case(
        lambda: gl.ConvTranspose2d(
            4,
            (3, 2),
            stride=(2, 3),
            padding=((1, 0), (0, 1)),
            dilation=(1, 2),
            groups=2,
            output_padding=(1, 2),
        ),
        (2, 3, 2),
        linear=True,
    ),
    "conv_transpose2d_same": Case(
        lambda: gl.ConvTranspose2d(2, 2, stride=(2, 3), padding="same", bias=False), (1, 3, 2), True
    ),
    "max_pool2d": Case(lambda: gl.MaxPool2d(2), (2, 4, 6)),
    "max_pool2d_all": Case(
        lambda: gl.MaxPool2d(
            (2, 3), stride=1, padding=((1, 0), (0, 2)), dilation=(2, 1), tie_break="column_major"
        ),
        (2, 4, 5),
    ),
    "max_pool2d_ceil": Case(lambda: gl.MaxPool2d(2, stride=2, ceil_mode=True), (1, 5, 5)),
    "avg_pool2d": Case(lambda: gl.AvgPool2d(3, stride=1, padding=1), (2, 4, 3), linear=True),
    "avg_pool2d_exclude": Case(
        lambda: gl.AvgPool2d((2, 3), padding=((1, 0), (2, 0)), count_include_pad=False),
        (2, 5, 4),
        linear=True,
    ),
    # The p-norm is homogeneous of degree 1: its third derivatives fall as 1/y². Windows hold 4 of
    # 48 values from a grid of 0.085, so y > 0.085 and 2/y² < 300.
    "lp_pool2d": Case(lambda: gl.LpPool2d(2), (2, 4, 6), curvature=300),
    "lp_pool2d_overlap": Case(lambda: gl.LpPool2d((2, 2), stride=1, p=3), (2, 3, 4), curvature=1e3),
    "global_avg_pool2d": Case(lambda: gl.GlobalAvgPool2d(), (3, 4, 5), linear=True),
    "flatten": Case(lambda: gl.Flatten(), (2, 3, 4), linear=True),
    "relu": Case(lambda: gl.Relu(), (3, 2, 2)),
    "leaky_relu": Case(lambda: gl.LeakyRelu(negative_slope=0.2), (3, 2, 2)),
    "sigmoid": Case(lambda: gl.Sigmoid(), (6,), curvature=1),
    "tanh": Case(lambda: gl.Tanh(), (6,), curvature=2),
    "softmax": Case(lambda: gl.Softmax(), (5,), curvature=4),
    "linear": Case(lambda: gl.Linear(4), (5,), linear=True),
    "linear_no_bias": Case(lambda: gl.Linear(3, bias=False), (4,), linear=True),
    # (x - mean)/sd with some 20 values of sd > 1 a channel.
    "batch_norm2d": Case(_norm, (2, 3, 3), curvature=40),
    "dropout": Case(lambda: gl.Dropout(0.4), (12,), linear=True),
    "dropout2d": Case(lambda: gl.Dropout2d(0.4), (6, 2, 2), linear=True),
    "drop_block2d": Case(lambda: gl.DropBlock2d(0.2, 2), (2, 4, 4), linear=True),
    "sequential": Case(
        lambda: gl.Sequential([gl.Conv2d(2, 2), gl.Tanh(), gl.Conv2d(2, 2), gl.Flatten()]),
        (1, 4, 4),
        curvature=1e3,
    ),
    "residual": Case(
        lambda: gl.Residual([gl.Conv2d(2, 3, padding=1), gl.Tanh()]), (2, 3, 3), curvature=200
    ),
    "residual_shortcut": Case(
        lambda: gl.Residual(
            [gl.Conv2d(3, 2, stride=2)], shortcut=[gl.Conv2d(3, 1), gl.AvgPool2d(2)]
        ),
        (2, 4, 4),
        linear=True,
    ),
    "concat": Case(
        lambda: gl.Concat([[gl.Conv2d(2, 1)], [], [gl.AvgPool2d(3, stride=1, padding=1)]]),
        (2, 3, 3),
        linear=True,
    ),
}


def spread(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """float64 values from -2 to 2 at equal distances in random order: distinct, none of them 0."""
    count = int(np.prod(shape))
    count += count % 2  # an even number of points leaves 0 out
    return rng(seed).permutation(np.linspace(-2, 2, count))[: int(np.prod(shape))].reshape(shape)


def run(layer: Layer, x: np.ndarray, dy: np.ndarray | None = None, *, train: bool = True) -> Any:
    """y, or (y, dx) where dy is given, as NumPy arrays; dropout always at step 0."""
    ops = layer.ops
    layer.set_step(0)
    y = layer.forward(ops.asarray(x), train=train)
    if dy is None:
        return ops.to_numpy(y)
    dx = layer.backward(ops.asarray(dy))
    return ops.to_numpy(y), ops.to_numpy(dx)


def built(case: Case | str, ops: Ops, *, dtype: str = "float64", seed: int = 0) -> Layer:
    """The case's layer, built."""
    case = CASES[case] if isinstance(case, str) else case
    layer = case.make()
    layer.build(case.shape, ops, seed, dtype=dtype)
    return layer
