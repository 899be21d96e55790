"""Pools against loops over windows, with every option; ties, NaN, padding, overlap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call, normal
from tests.oracles.pooling import Pool
from tests.oracles.tolerance import assert_close

# x shape, settings of any pool (dilation for max pools alone).
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "halved": ((2, 3, 6, 4), {"kernel_size": 2}),
    "odd": ((2, 2, 7, 5), {"kernel_size": 2}),
    "overlap": ((2, 2, 6, 7), {"kernel_size": 3, "stride": 2}),
    "overlap_by_one": ((1, 2, 5, 5), {"kernel_size": 3, "stride": 1}),
    "stride_over_kernel": ((2, 2, 9, 8), {"kernel_size": 2, "stride": 3}),
    "rectangular": ((2, 2, 7, 9), {"kernel_size": (2, 3), "stride": (1, 2)}),
    "padded": ((2, 2, 5, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "padded_most": ((1, 2, 4, 3), {"kernel_size": 3, "stride": 1, "padding": 2}),
    "asymmetric": ((2, 1, 5, 4), {"kernel_size": 3, "stride": 2, "padding": ((0, 2), (1, 0))}),
    "ceil": ((2, 2, 6, 5), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil_padded": ((1, 2, 6, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    "ceil_dropped": ((1, 2, 5, 4), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    "ceil_dropped_padded": (
        (1, 1, 4, 5),
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    ),
    "ceil_over_input": ((2, 2, 2, 2), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil_asymmetric": (
        (1, 2, 7, 6),
        {"kernel_size": 3, "stride": (2, 3), "padding": ((2, 1), (0, 2)), "ceil_mode": True},
    ),
    "whole": ((3, 2, 4, 5), {"kernel_size": (4, 5)}),
    "one_cell": ((2, 2, 3, 4), {"kernel_size": 1}),
    "one_cell_stride": ((2, 2, 5, 4), {"kernel_size": 1, "stride": 2}),
    "over_unpadded": ((1, 2, 2, 2), {"kernel_size": 4, "stride": 1, "padding": 1}),
    "one_row": ((2, 2, 1, 6), {"kernel_size": (1, 2)}),
    "batch_0": ((0, 2, 6, 6), {"kernel_size": 2}),
    "batch_0_whole": ((0, 2, 3, 3), {"kernel_size": 3}),
    "large_window": ((1, 2, 19, 18), {"kernel_size": 17, "stride": 1}),
}
DILATED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "dilated": ((2, 2, 7, 8), {"kernel_size": 2, "stride": 1, "dilation": 2}),
    "dilated_pair": ((1, 2, 7, 9), {"kernel_size": 3, "stride": 2, "dilation": (1, 3)}),
    "dilated_padded": (
        (1, 2, 6, 7),
        {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": (2, 3)},
    ),
    "dilated_ceil": (
        (1, 1, 8, 7),
        {"kernel_size": 2, "stride": 3, "dilation": 3, "ceil_mode": True},
    ),
    "dilated_disjoint": ((1, 2, 8, 8), {"kernel_size": 2, "stride": 2, "dilation": 2}),
}
TIE_BREAKS = ["row_major", "column_major"]


def values(shape: tuple[int, ...], dtype: str, kind: str) -> np.ndarray:
    """Inputs that are hard on a maximum."""
    if kind == "ties":
        return np.random.default_rng(1).integers(0, 3, shape).astype(dtype)
    if kind == "negative":
        return -1 - abs(normal(shape, dtype))
    if kind == "minus_infinity":
        x = np.random.default_rng(2).integers(-2, 1, shape).astype(dtype)
        return np.where(x < 0, np.asarray(-np.inf, dtype), x)
    if kind == "nan":
        x = np.random.default_rng(3).integers(0, 9, shape).astype(dtype)
        return np.where(x > 6, np.asarray(np.nan, dtype), x)
    return normal(shape, dtype)


def check_max(ops: Ops, x: np.ndarray, kw: dict[str, Any], tie_break: str = "row_major") -> None:
    """Forward exactly; backward against the scatter, to the rounding of its sums."""
    pool = Pool(x.shape, **kw)
    y, argmax = call(ops, "max_pool2d_forward", x, **kw, tie_break=tie_break)
    expected_y, expected_argmax = pool.max_forward(x, tie_break)
    assert y.dtype == x.dtype
    assert argmax.dtype == ("uint8" if np.prod(pool.kernel) <= 256 else "int32")
    np.testing.assert_array_equal(y, expected_y, err_msg="y")
    np.testing.assert_array_equal(argmax, expected_argmax, err_msg="argmax")
    dy = normal(y.shape, x.dtype.name, 4)
    dx = call(ops, "max_pool2d_backward", dy, argmax, x.shape, **kw)
    assert dx.dtype == x.dtype
    assert_close(
        dx,
        pool.max_backward(dy, expected_argmax),
        terms=int(np.prod(pool.kernel)),
        magnitude=pool.max_backward(abs(dy), expected_argmax),
        what="dx",
    )


def check_avg(ops: Ops, x: np.ndarray, kw: dict[str, Any], include_pad: bool) -> None:
    """Both passes against the loops."""
    pool = Pool(x.shape, **kw)
    y = call(ops, "avg_pool2d_forward", x, **kw, count_include_pad=include_pad)
    assert y.dtype == x.dtype
    terms = int(np.prod(pool.kernel)) + 1
    expected, magnitude = (pool.avg_forward(a, include_pad) for a in (x, abs(x)))
    assert_close(y, expected, terms=terms, magnitude=magnitude, what="y")
    dy = normal(y.shape, x.dtype.name, 4)
    dx = call(ops, "avg_pool2d_backward", dy, x.shape, **kw, count_include_pad=include_pad)
    assert dx.dtype == x.dtype
    expected, magnitude = (pool.avg_backward(a, include_pad) for a in (dy, abs(dy)))
    assert_close(dx, expected, terms=terms, magnitude=magnitude, what="dx")


def check_lp(ops: Ops, x: np.ndarray, kw: dict[str, Any], p: float) -> None:
    """Both passes against the loops.

    A power costs rounding as (1 + |log of its result|)·p at most; 8 for each function.
    """
    pool = Pool(x.shape, **kw)
    y = call(ops, "lp_pool2d_forward", x, **kw, p=p)
    assert y.dtype == x.dtype
    cells = int(np.prod(pool.kernel))
    terms = cells + 8 * (3 + int(p))
    assert_close(y, pool.lp_forward(x, p), terms=terms, what="y")
    dy = normal(y.shape, x.dtype.name, 4)
    dx = call(ops, "lp_pool2d_backward", dy, x, y, **kw, p=p)
    assert dx.dtype == x.dtype
    assert_close(
        dx,
        pool.lp_backward(dy, x, y, p),
        terms=terms,
        magnitude=pool.lp_backward(abs(dy), abs(x), y, p),
        what="dx",
    )


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
@pytest.mark.parametrize("kind", ["normal", "ties", "negative", "minus_infinity", "nan"])
@pytest.mark.parametrize("name", [*SHAPES, *DILATED])
def test_max(ops: Ops, dtype: str, name: str, kind: str, tie_break: str) -> None:
    shape, kw = (SHAPES | DILATED)[name]
    check_max(ops, values(shape, dtype, kind), kw, tie_break)


@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_avg(ops: Ops, dtype: str, name: str, include_pad: bool) -> None:
    shape, kw = SHAPES[name]
    check_avg(ops, normal(shape, dtype), kw, include_pad)


LP_SHAPES = [name for name, (_, kw) in SHAPES.items() if not {"padding", "ceil_mode"} & kw.keys()]


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7.25])
@pytest.mark.parametrize("name", LP_SHAPES)
def test_lp(ops: Ops, dtype: str, name: str, p: float) -> None:
    shape, kw = SHAPES[name]
    x = normal(shape, dtype)
    x[abs(x) < 0.4] = 0
    check_lp(ops, x, kw, p)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_lp_windows_of_zeros_have_no_gradient(ops: Ops, dtype: str, p: float) -> None:
    x = np.zeros((1, 1, 4, 4), dtype)
    x[0, 0, 3, 3] = -2
    y = call(ops, "lp_pool2d_forward", x, kernel_size=2, p=p)
    np.testing.assert_array_equal(y[0, 0], [[0, 0], [0, 2]])
    dx = call(ops, "lp_pool2d_backward", np.ones_like(y), x, y, kernel_size=2, p=p)
    expected = np.zeros_like(x)
    expected[0, 0, 3, 3] = -1
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_lp_of_huge_and_tiny_values(ops: Ops, dtype: str, p: float) -> None:
    """No power overflows or vanishes, though x^p itself would."""
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    for scale in (float(huge) / 8, float(tiny) * 8):
        x = np.asarray([[[[1, -1, 0.5, 0.25], [1, 1, -1, 0]]]], dtype) * np.asarray(scale, dtype)
        check_lp(ops, x, {"kernel_size": 2}, p)


def test_lp_gradient_by_differences(ops: Ops) -> None:
    x = normal((1, 2, 4, 5), "float64")
    x += 0.5 * np.sign(x)
    for p in (1, 1.5, 2, 3):
        kw = {"kernel_size": 2, "stride": (2, 1), "p": p}
        y = call(ops, "lp_pool2d_forward", x, **kw)
        dy = normal(y.shape, "float64", 1)

        def value(x: np.ndarray, dy: np.ndarray = dy, kw: dict[str, Any] = kw) -> float:
            return float((call(ops, "lp_pool2d_forward", x, **kw) * dy).sum())

        # |x| >= 0.5 and p <= 3 keep the third derivative of one window below 40, of two below 80,
        # and |dy| is below 4.
        dx = call(ops, "lp_pool2d_backward", dy, x, y, **kw)
        assert_gradient(value, x, dx, curvature=320)


def test_max_gradient_by_differences(ops: Ops) -> None:
    """All values differ by more than the step, so no winner changes."""
    x = np.random.default_rng(0).permutation(2 * 5 * 6).reshape(1, 2, 5, 6) / 8.0
    for kw in ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "dilation": 2}):
        y, argmax = call(ops, "max_pool2d_forward", x, **kw)
        dy = normal(y.shape, "float64", 1)

        def value(x: np.ndarray, dy: np.ndarray = dy, kw: dict[str, Any] = kw) -> float:
            return float((call(ops, "max_pool2d_forward", x, **kw)[0] * dy).sum())

        assert_gradient(value, x, call(ops, "max_pool2d_backward", dy, argmax, x.shape, **kw))


@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_avg_backward_is_the_adjoint(ops: Ops, name: str, include_pad: bool) -> None:
    shape, kw = SHAPES[name]
    x = normal(shape, "float64")
    y = call(ops, "avg_pool2d_forward", x, **kw, count_include_pad=include_pad)
    dy = normal(y.shape, "float64", 1)
    dx = call(ops, "avg_pool2d_backward", dy, shape, **kw, count_include_pad=include_pad)
    pool = Pool(shape, **kw)
    assert_close(
        np.array((x * dx).sum()),
        (y * dy).sum(),
        terms=x.size + y.size + 2 * int(np.prod(pool.kernel)),
        magnitude=(pool.avg_forward(abs(x), include_pad) * abs(dy)).sum(),
        what="<x, dx>",
    )


def test_column_major_is_the_rule_of_s3(ops: Ops, dtype: str) -> None:
    """SEEDS C7: the smallest column, then the smallest row."""
    x = np.asarray([[[[1, 5], [5, 5]]]], dtype)
    for tie_break, place in zip(TIE_BREAKS, (1, 2), strict=True):
        _, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2, tie_break=tie_break)
        assert argmax[0, 0, 0, 0] == place, tie_break


def test_signed_zeros_tie(ops: Ops, dtype: str) -> None:
    """-0 and +0 are equal: the first in the order wins."""
    for window in ([-0.0, 0.0], [0.0, -0.0]):
        x = np.asarray(window, dtype).reshape(1, 1, 1, 2)
        _, argmax = call(ops, "max_pool2d_forward", x, kernel_size=(1, 2))
        assert argmax[0, 0, 0, 0] == 0


def test_a_constant_gradient_of_an_overlap_counts_windows(ops: Ops, dtype: str) -> None:
    """The centre of 3x3 lies in all four 2x2 windows and wins them all."""
    x = np.zeros((1, 1, 3, 3), dtype)
    x[0, 0, 1, 1] = 1
    _, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2, stride=1)
    dx = call(
        ops, "max_pool2d_backward", np.ones((1, 1, 2, 2), dtype), argmax, x.shape,
        kernel_size=2, stride=1,
    )  # fmt: skip
    np.testing.assert_array_equal(dx, 4 * x)


def test_nan_passes_through_average_and_power(ops: Ops, dtype: str) -> None:
    x = np.ones((1, 1, 2, 4), dtype)
    x[0, 0, 0, 0] = np.nan
    for method in ("avg_pool2d_forward", "lp_pool2d_forward"):
        y = call(ops, method, x, kernel_size=2)
        assert np.isnan(y[0, 0, 0, 0]), method
        assert np.isfinite(y[0, 0, 0, 1]), method


@pytest.mark.parametrize("cells", [(16, 16), (1, 256), (257, 1), (17, 16)])
def test_argmax_fits_its_dtype(ops: Ops, dtype: str, cells: tuple[int, int]) -> None:
    """The last cell wins: place 255 is the largest that uint8 holds."""
    x = np.zeros((1, 1, *cells), dtype)
    x[0, 0, -1, -1] = 1
    kw = {"kernel_size": cells}
    y, argmax = call(ops, "max_pool2d_forward", x, **kw)
    assert argmax.dtype == ("uint8" if cells[0] * cells[1] <= 256 else "int32")
    assert argmax.item() == cells[0] * cells[1] - 1
    dx = call(ops, "max_pool2d_backward", y, argmax, x.shape, **kw)
    np.testing.assert_array_equal(dx, x)


@st.composite
def pools(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Geometries that the contract allows, with a dilation of 1 where the cells are few."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = tuple(
        (draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))) for size in kernel
    )
    size = tuple(draw(st.integers(max(1, kernel[axis] - sum(padding[axis])), 8)) for axis in (0, 1))
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size)
    ceil_mode = draw(st.booleans())
    return shape, {
        "kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode
    }  # fmt: skip


@settings(max_examples=80)
@given(drawn=pools(), include_pad=st.booleans(), tie_break=st.sampled_from(TIE_BREAKS))
def test_any_geometry(ops: Ops, drawn: Any, include_pad: bool, tie_break: str) -> None:
    shape, kw = drawn
    check_max(ops, values(shape, "float32", "ties"), kw, tie_break)
    check_avg(ops, normal(shape, "float32"), kw, include_pad)
