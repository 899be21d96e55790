"""Smaller shapes for the checks: of few images, and so small that loops in Python get through.

What the loops get keeps all that decides which cells meet: kernel, stride, padding, dilation,
several groups where there are some, the cells behind the last window, and the remainder of a size
that kernels read in fours or eights. Height and width differ, so that no mix-up of them hides. As
many places are left as LOOPS allows, which for small kernels is more than one tile or block; large
numbers of channels, images and tiles are for the check with few images.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from gpucnn.profiling.benchmark.cases import conv_shape
from gpucnn.profiling.benchmark.makers import MAKERS

FLOPS = 2e8
BYTES = 2**24
"""About what a call with few images computes and moves at most, if two do not exceed it."""

LOOPS = 150_000
"""Products of the reference's dearest loop over a convolution: about a tenth of a second."""

HARDLY = 10
"""So many times LOOPS is waited for where a convolution gets no smaller; beyond it, not."""

IMAGES = 2
CHANNELS = 5
"""Odd, and more than the direct kernels take (DIRECT_CHANNELS of ops/kernels)."""
FILTERS = 6
PLACES = (12, 8, 4, 2, 0)
"""Output places along the width beside those that see padding, and two more."""


def shrunk(kind: str, name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes with so few images (rows, parameters) that a check takes no time; two at least."""
    row = list(MAKERS[kind](name, tuple(sizes)))
    flops, moved = max(case.flops for case in row), max(case.bytes for case in row)
    part = min(1.0, FLOPS / max(1, flops), BYTES / max(1, moved))
    return (max(min(sizes[0], 2), int(sizes[0] * part)), *sizes[1:])


def for_loops(kind: str, sizes: Sequence[int]) -> tuple[int, ...] | None:
    """The sizes for gpucnn.reference; None where it has nothing to say, or not soon."""
    if kind == "convolutions":
        return _convolution(tuple(sizes))
    if kind == "pools":
        n, c, h, w, window, stride, padding = sizes
        high, wide = _map((h, w), (window, window), stride, padding, PLACES[0])
        return (min(n, IMAGES), min(c, CHANNELS), high, wide, window, stride, padding)
    if kind == "batch_norms":
        n, c, h, w = sizes
        return (min(n, IMAGES), min(c, CHANNELS), _remaining(h, 8, 8), _remaining(w, 32, 8))
    if kind == "linears":
        n, wide, out = sizes
        return (min(n, CHANNELS), _remaining(wide, 1152, 64), _remaining(out, 256, 64))
    return None


def _convolution(sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The largest of some sizes that LOOPS allows."""
    found = list(_smaller(sizes))
    least = loops(found[-1])
    if least > HARDLY * LOOPS:
        return None
    return next((some for some in found if loops(some) <= LOOPS), found[-1])


def _smaller(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    n, c, h, w, k, r, s, stride, padding, dilation, groups = sizes
    few = min(groups, 3)
    extent = ((r - 1) * dilation + 1, (s - 1) * dilation + 1)
    for (channels, filters), more in product(((CHANNELS, FILTERS), (3, 4), (2, 2)), PLACES):
        channels, filters = min(c // groups, channels), min(k // groups, filters)
        high, wide = _map((h, w), extent, stride, padding, more)
        kept = (r, s, stride, padding, dilation, few)
        yield (min(n, IMAGES), few * channels, high, wide, few * filters, *kept)


def loops(sizes: Sequence[int]) -> int:
    """Products of the reference's input gradient, with the zeros that it inserts."""
    shape = conv_shape(sizes)
    total = shape.n * shape.k * (shape.c // shape.groups)
    for taps, places, stride, dilation in zip(
        (shape.r, shape.s), (shape.p, shape.q), shape.stride, shape.dilation, strict=True
    ):
        extent = (taps - 1) * dilation + 1
        total *= ((places - 1) * stride + extent) * extent
    return total


def _map(
    size: tuple[int, int], extent: tuple[int, int], stride: int, padding: int, more: int
) -> tuple[int, int]:
    """Height and width with fewer places for the window, and not as many along both."""
    wide = _axis(size[1], extent[1], stride, padding, more)
    high = _axis(size[0], extent[0], stride, padding, more - 1)
    if high == wide and high > stride + extent[0] - 2 * padding:
        high -= stride
    return high, wide


def _axis(cells: int, extent: int, stride: int, padding: int, more: int) -> int:
    """Fewer cells, by whole strides: as many stay behind the last window."""
    room = cells + 2 * padding - extent
    seeing = -(-padding // stride)
    places = min(room // stride + 1, 2 * seeing + 2 + more)
    # Wide padding alone can hold a window; a map has a cell all the same.
    return max(room % stride + (places - 1) * stride + extent - 2 * padding, min(cells, 1))


def _remaining(size: int, most: int, block: int) -> int:
    """At most `most` and less than another block: with the same remainder of `block`."""
    return size if size < most + block else most + size % block
