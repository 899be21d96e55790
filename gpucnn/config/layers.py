"""The keys of every layer: the constructor keywords of the class of that name in gpucnn.layers."""

from typing import Annotated

from pydantic import Field

from gpucnn.config.types import (
    Bool,
    Choice,
    ConvPadding,
    Expects,
    NaturalPair,
    NonNegative,
    Number,
    OneOf,
    OptionalPair,
    Options,
    Pair,
    PoolPadding,
    Positive,
    PositiveInt,
    Probability,
    Rate,
    Spec,
    Text,
)

INITIALIZERS = (
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "zeros",
)

Layer = Annotated[Spec, Choice("a layer", lambda: LAYERS)]
Rounding = Annotated[
    Annotated[str, OneOf("strict", "floor")] | None,
    Expects("strict, floor or null (the model's)", ("strict", "floor")),
]
Init = Annotated[str, OneOf(*INITIALIZERS)]


class LayerOptions(Options):
    """Keys of any layer."""

    name: Annotated[Text | None, Expects("a name that is not empty, or null")] = None
    """What messages and tables call this layer."""
    lr_scale: NonNegative = 1.0
    """Factor on the learning rate of this layer's parameters."""
    frozen: Bool = False
    """Leave this layer's parameters as they are."""


class Convolution(LayerOptions):
    """Keys of both convolutions."""

    filters: PositiveInt
    kernel_size: Pair
    stride: Pair = 1
    padding: ConvPadding = 0
    dilation: Pair = 1
    groups: PositiveInt = 1
    bias: Bool = True
    init: Init = "he_normal"


class Conv2d(Convolution):
    """Convolution: cross-correlation of (C, H, W) with `filters` kernels."""

    rounding: Rounding = None
    """What to do where the window does not tile the input: null is the model's rule."""


class ConvTranspose2d(Convolution):
    """Transposed convolution: what conv2d does to its gradient."""

    output_padding: NaturalPair = 0
    """Rows and columns added at the bottom and right; less than the stride."""


class MaxPool2d(LayerOptions):
    """Maximum of each window."""

    kernel_size: Pair
    stride: OptionalPair = None
    """null: the kernel size."""
    padding: PoolPadding = 0
    dilation: Pair = 1
    ceil_mode: Bool = False
    tie_break: Annotated[str, OneOf("row_major", "column_major")] = "row_major"
    rounding: Rounding = None


class AvgPool2d(LayerOptions):
    """Mean of each window."""

    kernel_size: Pair
    stride: OptionalPair = None
    """null: the kernel size."""
    padding: PoolPadding = 0
    ceil_mode: Bool = False
    count_include_pad: Bool = True
    rounding: Rounding = None


class LpPool2d(LayerOptions):
    """(Σ|x|^p)^(1/p) of each window."""

    kernel_size: Pair
    stride: OptionalPair = None
    """null: the kernel size."""
    p: Annotated[float, Field(ge=1), Expects("a number >= 1")] = 2.0
    rounding: Rounding = None


class Plain(LayerOptions):
    """A layer without keys of its own."""


class LeakyRelu(LayerOptions):
    """x where x > 0, else negative_slope * x."""

    negative_slope: Number = 0.01


class Linear(LayerOptions):
    """Fully connected layer over a flat input."""

    units: PositiveInt
    bias: Bool = True
    init: Init = "he_normal"


class BatchNorm2d(LayerOptions):
    """Batch normalisation of each channel."""

    momentum: Probability = 0.1
    """Share of the new batch in the running statistics."""
    eps: Positive = 1e-5


class Dropout(LayerOptions):
    """Zero single values (dropout) or whole channels (dropout2d)."""

    rate: Rate
    """Probability of zeroing; kept values are scaled by 1 / (1 - rate)."""


class DropBlock2d(LayerOptions):
    """Zero square blocks of each channel."""

    rate: Rate
    block_size: PositiveInt


class Sequential(LayerOptions):
    """Layers one after the other."""

    layers: list[Layer]


class Residual(LayerOptions):
    """body(x) + shortcut(x)."""

    body: Annotated[list[Layer], Field(min_length=1)]
    shortcut: list[Layer] = Field(default=[])
    """Empty: the identity."""


class Concat(LayerOptions):
    """The branches' outputs, joined along the channels."""

    branches: Annotated[list[list[Layer]], Field(min_length=1)]


LAYERS: dict[str, type[Options]] = {
    "conv2d": Conv2d,
    "conv_transpose2d": ConvTranspose2d,
    "max_pool2d": MaxPool2d,
    "avg_pool2d": AvgPool2d,
    "lp_pool2d": LpPool2d,
    "global_avg_pool2d": Plain,
    "flatten": Plain,
    "relu": Plain,
    "leaky_relu": LeakyRelu,
    "sigmoid": Plain,
    "tanh": Plain,
    "softmax": Plain,
    "linear": Linear,
    "batch_norm2d": BatchNorm2d,
    "dropout": Dropout,
    "dropout2d": Dropout,
    "drop_block2d": DropBlock2d,
    "sequential": Sequential,
    "residual": Residual,
    "concat": Concat,
}
