"""Sizes: of an output, of "same" padding, and of what a neuron sees (S4, S3 §2.1, S2)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements

Pair = tuple[int, int]
Size = int | Sequence[int]
"""A number for both axes, or (height, width)."""
Sides = tuple[Pair, Pair]


def pair(value: Size, name: str = "size", minimum: int = 1) -> Pair:
    """(height, width) from an int or a pair: rows first, unlike S3's stride (C3).

    ConfigError, naming the argument, where one is not a whole number of at least `minimum`.
    """
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(isinstance(n, (int, np.integer)) and n >= minimum for n in both):
        raise ConfigError(
            f"{name} must be a whole number of at least {minimum} or two of them, (height, width),"
            f" got {value!r}"
        )
    return int(both[0]), int(both[1])


def sides(padding: Size | Sequence[Size]) -> Sides:
    """((top, bottom), (left, right)) from an int, a pair (height, width) or both pairs."""
    axes = padding if isinstance(padding, Sequence) else (padding, padding)
    if len(axes) != 2:
        raise ConfigError(f"padding must be one number, two, or two pairs, got {padding!r}")
    return pair(axes[0], "padding", 0), pair(axes[1], "padding", 0)


@implements("A1")
def output_size(W: int, F: int, P: int, S: int) -> int:
    """(W - F + 2P)/S + 1, for input size W, filter size F, padding P and stride S (S4).

    A result that is not a whole number means that the hyper-parameters are wrong: a ShapeError,
    as for a filter larger than the padded input. A negative P or an S below 1 is a ConfigError.
    """
    if S < 1:
        raise ConfigError(f"stride S must be at least 1, got {S}")
    if P < 0:
        raise ConfigError(f"padding P must be at least 0, got {P}")
    if not 1 <= F <= W + 2 * P:
        raise ShapeError(f"filter size F must be from 1 to W + 2P = {W + 2 * P}, got {F}")
    steps, rest = divmod(W - F + 2 * P, S)
    if rest:
        raise ShapeError(
            f"(W - F + 2P)/S + 1 = ({W} - {F} + {2 * P})/{S} + 1 = {steps + rest / S + 1:g} is not"
            " a whole number: choose other W, F, P or S"
        )
    return steps + 1


def window_grid(size: Sequence[int], kernel_size: Size, stride: Size = 1) -> Pair:
    """How many whole windows fit into (H, W), down and across; cells of none are left over."""
    (H, W), (high, wide) = size, pair(kernel_size, "kernel_size")
    down, right = pair(stride, "stride")
    if high > H or wide > W:
        raise ShapeError(f"a window of {high}x{wide} does not fit into a map of {H}x{W}")
    return (H - high) // down + 1, (W - wide) // right + 1


@implements("A2")
def same_padding(kernel_size: Size) -> Sides:
    """((top, bottom), (left, right)) that keeps H x W at stride 1 (S3 §2.1).

    The map grows to (H + H' - 1) x (W + W' - 1). Where H' - 1 is odd, S3 leaves open which side
    gets the extra row; here the bottom does, and the right side the extra column.
    """
    height, width = pair(kernel_size, "kernel_size")
    top, left = (height - 1) // 2, (width - 1) // 2
    return (top, height - 1 - top), (left, width - 1 - left)


class Window(NamedTuple):
    """What a layer looks through along one axis; a pool has its kernel's size as stride."""

    kernel: int
    stride: int = 1
    dilation: int = 1


class Field(NamedTuple):
    """Input cells that one output cell sees, and those between two neighbouring output cells."""

    size: int
    jump: int


@implements("A25")
def receptive_field(layers: Iterable[Window]) -> list[Field]:
    """The receptive field behind each layer; it grows with depth (S2).

    A window's k cells lie `dilation` apart, each cell of that layer `jump` input cells from the
    next: size += (k - 1) · dilation · jump, then jump *= stride.
    """
    fields = []
    size, jump = 1, 1
    for kernel, stride, dilation in layers:
        size += (kernel - 1) * dilation * jump
        jump *= stride
        fields.append(Field(size, jump))
    return fields
