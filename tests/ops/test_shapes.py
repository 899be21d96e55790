"""Geometry: sizes that come out, and every rule that can be broken."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.ops.shapes import Conv2dShape, Pool2dShape
from tests.oracles.convolution import output_size
from tests.oracles.pooling import Pool

BIG = 2**31


@pytest.mark.parametrize(
    ("width", "kernel", "padding", "stride", "out"),
    [(5, 3, 0, 1, 3), (28, 5, 0, 1, 24), (24, 2, 0, 2, 12), (3, 3, 1, 2, 2), (6, 3, 0, 2, 2)],
)
def test_the_examples_of_s4(width: int, kernel: int, padding: int, stride: int, out: int) -> None:
    """SEEDS A1; 2.5 floors to 2 at this level (the layers refuse it)."""
    shape = Conv2dShape.of(
        (1, 1, width, 9), (1, 1, kernel, 9), stride=(stride, 1), padding=(padding, 0)
    )
    assert (shape.p, shape.q) == (out, 1)


@given(
    size=st.integers(1, 20),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 7),
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    dilation=st.integers(1, 4),
)
def test_sizes_are_counts_of_windows(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> None:
    count = output_size(size, kernel, stride, padding, dilation)
    settings = {"stride": (stride, 1), "padding": (padding, (0, 0)), "dilation": (dilation, 1)}
    if count:
        shape = Conv2dShape.of((2, 3, size, 1), (4, 3, kernel, 1), **settings)
        assert shape.y_shape == (2, 4, count, 1)
        assert shape.macs == 2 * 4 * count * 3 * kernel
    else:
        with pytest.raises(ShapeError, match="height"):
            Conv2dShape.of((2, 3, size, 1), (4, 3, kernel, 1), **settings)


@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 6),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
def test_pool_windows_are_counted_and_never_empty(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, ceil_mode: bool
) -> None:
    kw: dict[str, Any] = {
        "kernel_size": (kernel, 1),
        "stride": (stride, 1),
        "padding": (padding, (0, 0)),
        "dilation": (dilation, 1),
        "ceil_mode": ceil_mode,
    }
    pool = Pool((1, 1, size, 1), **kw)
    filled = all(any(pool.inside(i, j) for _, i, j in cells) for _, cells in pool.windows())
    allowed = max(padding) <= dilation * (kernel - 1) and pool.y_shape[2] > 0 and filled
    if allowed:
        assert Pool2dShape.of((1, 1, size, 1), **kw).y_shape == pool.y_shape
    else:
        with pytest.raises(ShapeError, match="height"):
            Pool2dShape.of((1, 1, size, 1), **kw)


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 0)), ((1, 2), (3, 0))),
        ([[1, 2], [3, 0]], ((1, 2), (3, 0))),
    ],
)
def test_forms_of_padding(value: Any, pairs: Any) -> None:
    for shape in (
        Conv2dShape.of((1, 1, 9, 9), (1, 1, 4, 4), padding=value),
        Pool2dShape.of((1, 1, 9, 9), kernel_size=4, padding=value),
    ):
        assert shape.padding == pairs


X, W = (2, 4, 8, 8), (6, 4, 3, 3)
BAD_CONVOLUTIONS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ((4, 8, 8), W, {}, ShapeError, r"x must be \(N, C, H, W\).*\(4, 8, 8\)"),
    ((1, 2, 4, 8, 8), W, {}, ShapeError, "x must be"),
    (X, (6, 4, 3), {}, ShapeError, r"w must be \(K, C/groups, R, S\)"),
    (X, 7, {}, ShapeError, "w must be .*7"),
    ((2, 4, 8.0, 8), W, {}, ShapeError, "x must be .*8.0"),
    ((-1, 4, 8, 8), W, {}, ShapeError, "negative.*-1"),
    ((2, 0, 8, 8), W, {}, ShapeError, "at least 1"),
    ((2, 4, 0, 8), W, {}, ShapeError, "at least 1"),
    (X, (0, 4, 3, 3), {}, ShapeError, r"w of shape \(0, 4, 3, 3\)"),
    (X, (6, 4, 0, 3), {}, ShapeError, "at least 1"),
    (X, (6, 3, 3, 3), {}, ShapeError, r"C=4.*\(6, 3, 3, 3\).*takes 3"),
    (X, (6, 4, 3, 3), {"groups": 2}, ShapeError, "groups=2 takes 8"),
    (X, (6, 1, 3, 3), {"groups": 4}, ShapeError, "groups=4 must divide.*C=4.*K=6"),
    (X, (6, 1, 3, 3), {"groups": 3}, ShapeError, "groups=3 must divide"),
    (X, W, {"groups": 0}, ConfigError, "groups must be >= 1, got 0"),
    (X, W, {"groups": 1.0}, ConfigError, "groups must be an integer.*1.0"),
    (X, W, {"stride": 0}, ConfigError, "stride must be >= 1, got 0"),
    (X, W, {"stride": -1}, ConfigError, "stride.*-1"),
    (X, W, {"stride": (1, 0)}, ConfigError, r"stride\[1\] \(width\).*0"),
    (X, W, {"stride": (1, 2, 3)}, ConfigError, r"stride must be an int or a pair"),
    (X, W, {"stride": 1.5}, ConfigError, "stride.*1.5"),
    (X, W, {"stride": "2"}, ConfigError, "stride.*'2'"),
    (X, W, {"stride": True}, ConfigError, "stride.*True"),
    (X, W, {"stride": None}, ConfigError, "stride.*None"),
    (X, W, {"stride": BIG}, ConfigError, f"stride must fit into int32, got {BIG}"),
    (X, W, {"padding": -1}, ConfigError, "padding.*-1"),
    (X, W, {"padding": (1, -1)}, ConfigError, r"padding\[1\]"),
    (X, W, {"padding": ((1, 1), (0, -2))}, ConfigError, r"padding\[1\]\[1\].*-2"),
    (X, W, {"padding": ((1, 1), 2)}, ConfigError, r"padding\[0\]"),
    (X, W, {"padding": ((1, 1), (2,))}, ConfigError, r"padding\[1\]"),
    (X, W, {"padding": "same"}, ConfigError, "padding.*'same'"),
    (X, W, {"padding": BIG - 2}, ShapeError, "height 8 with padding.*int32"),
    (X, W, {"dilation": 0}, ConfigError, "dilation.*0"),
    (X, W, {"dilation": 4}, ShapeError, "dilation 4 spans 9 cells.*height 8"),
    (X, (6, 4, 3, 9), {}, ShapeError, r"kernel of 9 .* width 8 with padding 0\+0 has \(8\)"),
    (X, (6, 4, 3, 11), {"padding": 1}, ShapeError, r"\(10\)"),
    ((2**20, 4, 32, 32), W, {}, ShapeError, r"x of shape .*4,294,967,296 elements.*int32"),
    ((1, 2**16, 3, 3), (2**15, 2**16, 1, 1), {}, ShapeError, "w of shape .*int32"),
    ((2**14, 1, 16, 16), (2**10, 1, 1, 1), {}, ShapeError, "y of shape .*int32"),
]


@pytest.mark.parametrize(("x", "w", "settings", "error", "words"), BAD_CONVOLUTIONS)
def test_bad_convolutions(
    x: Any, w: Any, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Conv2dShape.of(x, w, **settings)


BAD_POOLS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ((4, 8, 8), {}, ShapeError, r"x must be \(N, C, H, W\)"),
    ((2, 0, 8, 8), {}, ShapeError, "at least 1"),
    (X, {"kernel_size": 0}, ConfigError, "kernel_size.*0"),
    (X, {"kernel_size": (2, 2.5)}, ConfigError, r"kernel_size\[1\].*2.5"),
    (X, {"kernel_size": None}, ConfigError, "kernel_size.*None"),
    (X, {"stride": 0}, ConfigError, "stride.*0"),
    (X, {"padding": -1}, ConfigError, "padding.*-1"),
    (X, {"padding": 2}, ShapeError, r"padding 2\+2 along the height.*at most 1 a side"),
    (X, {"padding": ((0, 0), (0, 2))}, ShapeError, r"padding 0\+2 along the width"),
    (X, {"kernel_size": 9}, ShapeError, "spans 9 cells.*height 8"),
    (X, {"dilation": 8}, ShapeError, "spans 9 cells"),
    (X, {"dilation": 0}, ConfigError, "dilation"),
    ((1, 1, 1, 4), {"dilation": 2, "padding": 1}, ShapeError, "window 0 .*padding alone"),
    ((2**20, 4, 32, 32), {}, ShapeError, "x of shape .*int32"),
    ((2**10, 2**11, 8, 8), {"kernel_size": 33, "padding": 32, "stride": 1}, ShapeError, "y of"),
]


@pytest.mark.parametrize(("x", "settings", "error", "words"), BAD_POOLS)
def test_bad_pools(x: Any, settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Pool2dShape.of(x, **{"kernel_size": 2, **settings})
