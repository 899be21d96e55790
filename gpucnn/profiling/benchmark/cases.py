"""A case: one call of an Ops method over one shape, and the numbers that it is called with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from math import prod
from operator import mul
from typing import Any

import numpy as np

from gpucnn.ops.base import Array, Ops
from gpucnn.ops.shapes import Conv2dShape

Call = Callable[[], Any]

EVAL = " eval"
"""Ends the names of shapes whose batch norm takes its statistics as they are."""


@dataclass(frozen=True)
class Case:
    """`prepare(ops, draw)` puts arrays on the device and returns the call to make of it."""

    method: str
    shape: str
    sizes: tuple[int, ...]
    prepare: Callable[[Ops, Callable[..., Array]], Call]
    flops: int
    """About; enough to tell beforehand how long it will take."""
    bytes: int
    """What must be read and written at least once, in float32; about."""

    def __str__(self) -> str:
        return f"{self.method} {self.shape}"


def drawer(
    ops: Ops, dtype: str, resize: Callable[[Any, tuple[int, ...]], Any] = np.resize
) -> Callable[..., Array]:
    """Standard normal arrays of `ops`, the same numbers on every device and in every dtype.

    Large ones repeat themselves after a prime number of elements: that is quicker to draw.
    `resize` may do so on the device.
    """
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        drawn = rng.standard_normal(min(prod(shape), 1_000_003), dtype="float32")
        return ops.asarray(resize(drawn, shape), dtype)

    return draw


def results(case: Case, ops: Ops, dtype: str) -> list[Any]:
    """The arrays that a case returns or changes, on the host."""
    found = case.prepare(ops, drawer(ops, dtype))()
    if not isinstance(found, (tuple, list)):
        found = [found]
    return [ops.to_numpy(a).copy() for a in found if a is not None]


def conv_shape(sizes: Sequence[int]) -> Conv2dShape:
    """The geometry of a row of `convolutions`."""
    n, c, h, w, k, r, s, stride, padding, dilation, groups = sizes
    return Conv2dShape.of(
        (n, c, h, w),
        (k, c // groups, r, s),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def shrinking() -> Iterator[float]:
    """Limits to clip by, each below the one before: every call has something to clip."""
    return accumulate(repeat(0.999), mul, initial=1.0)
