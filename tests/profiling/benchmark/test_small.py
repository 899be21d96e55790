"""Shapes for the checks are small, and keep what the operations could get wrong."""

import pytest

from gpucnn.config import load_shapes
from gpucnn.config.shapes import default_shapes
from gpucnn.profiling.benchmark.cases import conv_shape
from gpucnn.profiling.benchmark.makers import cases
from gpucnn.profiling.benchmark.small import FLOPS, LOOPS, for_loops, loops, shrunk

DEFAULT = load_shapes(default_shapes())
CONVOLUTIONS = {
    **{name: tuple(sizes) for name, sizes in DEFAULT["convolutions"].items()},
    "one row over": (64, 64, 57, 41, 128, 3, 3, 2, 0, 1, 1),
    "not square": (64, 8, 40, 56, 12, 5, 1, 3, 1, 2, 4),
    "wide padding": (8, 16, 9, 9, 16, 3, 3, 1, 6, 1, 1),
    "one cell": (8, 16, 1, 1, 16, 3, 3, 1, 1, 1, 1),
    "two filters a channel": (8, 16, 20, 20, 32, 3, 3, 1, 1, 1, 16),
}


def test_a_checked_case_is_small() -> None:
    large = (64, 64, 224, 224, 64, 3, 3, 1, 1, 1, 1)
    assert shrunk("convolutions", "a", large) == (2, *large[1:])
    assert shrunk("arenas", "a", (25_557_032,))[0] < 1_000_000
    assert shrunk("linears", "a", (5, 33, 17)) == (5, 33, 17)
    sizes = shrunk("convolutions", "a", (512, 64, 8, 8, *large[4:]))
    rows = list(cases({"convolutions": {"a": sizes}}))
    assert max(case.flops for case in rows) <= FLOPS


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_keeps_its_geometry(name: str) -> None:
    sizes = CONVOLUTIONS[name]
    small = for_loops("convolutions", sizes)
    assert small is not None
    assert loops(small) <= LOOPS
    before, after = conv_shape(sizes), conv_shape(small)
    assert small[5:10] == sizes[5:10]
    assert all(a <= b for a, b in zip(small, sizes, strict=True))
    assert (after.groups > 1) == (before.groups > 1)
    assert (after.c == after.groups) == (before.c == before.groups)
    assert (after.k == after.c) <= (before.k == before.c or before.groups == 1)
    stride, padding, dilation = small[7:10]
    for axis, taps in ((2, small[5]), (3, small[6])):
        extent = (taps - 1) * dilation + 1
        room, was = (some[axis] + 2 * padding - extent for some in (small, sizes))
        assert room % stride == was % stride
        if padding < extent and before.p > 2 * padding and before.q > 2 * padding:
            # A window that sees no padding, and all of those that do.
            assert room // stride + 1 > 2 * (padding // stride)
    if min(before.p, before.q) > 2:
        assert small[2] != small[3]


def test_small_kernels_have_more_than_one_tile() -> None:
    """Of 128 places (TILES and DIRECT_COLUMNS of ops/kernels)."""
    shape = conv_shape(for_loops("convolutions", CONVOLUTIONS["ci1"]) or ())
    assert shape.n * shape.p * shape.q > 128
    assert for_loops("batch_norms", (512, 64, 33, 45)) == (2, 5, 9, 37)
    assert for_loops("linears", (512, 1153, 263)) == (5, 1153, 263)


def test_a_pool_keeps_what_lies_behind_its_last_window() -> None:
    assert for_loops("pools", (64, 64, 112, 112, 3, 2, 1)) == (2, 5, 30, 32, 3, 2, 1)
    assert for_loops("pools", (64, 64, 111, 5, 3, 2, 0)) == (2, 5, 27, 5, 3, 2, 0)
    assert for_loops("pools", (1, 2, 3, 3, 3, 2, 0)) == (1, 2, 3, 3, 3, 2, 0)


def test_what_takes_too_long_or_is_not_in_the_reference() -> None:
    assert for_loops("convolutions", (64, 64, 64, 64, 64, 31, 31, 1, 15, 1, 1)) is None
    assert for_loops("arenas", (1031,)) is None
