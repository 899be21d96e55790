"""Convolution against literal sums, adjointness, and the promises of the contract."""

from functools import cache
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.ops.base import Ops
from tests.ops.geometries import GEOMETRIES, geometry
from tests.ops.harness import call, normal
from tests.oracles.convolution import Convolution
from tests.oracles.tolerance import assert_close

NAMES = list(GEOMETRIES)


@cache
def operands(x_shape: Any, w_shape: Any, y_shape: Any, dtype: str) -> tuple[np.ndarray, ...]:
    """x, w, b and dy of a geometry."""
    shapes = (x_shape, w_shape, w_shape[:1], y_shape)
    arrays = tuple(normal(shape, dtype, seed) for seed, shape in enumerate(shapes))
    for a in arrays:
        a.flags.writeable = False
    return arrays


def check_forward(ops: Ops, g: Convolution, kw: dict[str, Any], dtype: str) -> None:
    x, w, b, _ = operands(g.x_shape, g.w_shape, g.y_shape, dtype)
    y = call(ops, "conv2d_forward", x, w, b, **kw)
    assert y.dtype == dtype
    expected = g.forward(x, w, b)
    magnitude = g.forward(abs(x), abs(w), abs(b))
    terms = prod(g.w_shape[1:]) + 1
    assert_close(y, expected, terms=terms, magnitude=magnitude, what="y")
    plain = call(ops, "conv2d_forward", x, w, **kw)
    assert_close(plain, g.forward(x, w), terms=terms, magnitude=magnitude, what="y without bias")
    relu = call(ops, "conv2d_forward", x, w, b, **kw, activation="relu")
    np.testing.assert_array_equal(relu, np.where(y <= 0, 0, y), err_msg="fused ReLU")


def check_backward_input(ops: Ops, g: Convolution, kw: dict[str, Any], dtype: str) -> None:
    _, w, _, dy = operands(g.x_shape, g.w_shape, g.y_shape, dtype)
    dx = call(ops, "conv2d_backward_input", dy, w, g.x_shape, **kw)
    assert dx.dtype == dtype
    magnitude = g.backward_input(abs(dy), abs(w))
    terms = g.w_shape[0] // g.groups * prod(g.w_shape[2:])
    assert_close(dx, g.backward_input(dy, w), terms=terms, magnitude=magnitude, what="dx")
    assert not dx[magnitude == 0].any(), "cells that no window reaches get 0"


def check_backward_weight(ops: Ops, g: Convolution, kw: dict[str, Any], dtype: str) -> None:
    x, _, _, dy = operands(g.x_shape, g.w_shape, g.y_shape, dtype)
    dw = call(ops, "conv2d_backward_weight", dy, x, g.w_shape, **kw)
    assert dw.dtype == dtype
    n, _, p, q = g.y_shape
    magnitude = g.backward_weight(abs(dy), abs(x))
    assert_close(dw, g.backward_weight(dy, x), terms=n * p * q + 1, magnitude=magnitude, what="dw")


CHECKS = (check_forward, check_backward_input, check_backward_weight)


@pytest.mark.parametrize("name", NAMES)
def test_forward(ops: Ops, dtype: str, name: str) -> None:
    check_forward(ops, *geometry(name), dtype)


@pytest.mark.parametrize("name", NAMES)
def test_backward_input(ops: Ops, dtype: str, name: str) -> None:
    check_backward_input(ops, *geometry(name), dtype)


@pytest.mark.parametrize("name", NAMES)
def test_backward_weight(ops: Ops, dtype: str, name: str) -> None:
    check_backward_weight(ops, *geometry(name), dtype)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (0, 3, 5, 4), (1, 1, 1, 1), (7, 2, 24, 24)])
def test_backward_bias(ops: Ops, dtype: str, shape: tuple[int, ...]) -> None:
    dy = normal(shape, dtype)
    db = call(ops, "conv2d_backward_bias", dy)
    assert db.dtype == dtype
    assert db.shape == (shape[1],)
    wide = dy.astype(np.float64)
    magnitude = abs(wide).sum(axis=(0, 2, 3))
    assert_close(db, wide.sum(axis=(0, 2, 3)), terms=dy.size // shape[1] + 1, magnitude=magnitude)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradients_are_adjoints_of_forward(ops: Ops, dtype: str, name: str) -> None:
    """<conv(x, w), dy> = <x, dx> = <w, dw>: no oracle at all."""
    g, kw = geometry(name)
    x, w, _, dy = (a.astype(np.float64) for a in operands(g.x_shape, g.w_shape, g.y_shape, dtype))
    y = call(ops, "conv2d_forward", x, w, **kw)
    dx = call(ops, "conv2d_backward_input", dy, w, g.x_shape, **kw)
    dw = call(ops, "conv2d_backward_weight", dy, x, g.w_shape, **kw)
    products = [np.array((a * b).sum()) for a, b in ((y, dy), (x, dx), (w, dw))]
    magnitude = (g.forward(abs(x), abs(w)) * abs(dy)).sum()
    terms = prod(g.w_shape) * prod(g.y_shape[2:]) * max(1, g.y_shape[0])
    for product in products[1:]:
        assert_close(product, products[0], terms=terms, magnitude=magnitude, what="<Ax, y>")


@pytest.mark.parametrize("extra", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("padding", [0, 1, ((2, 0), (1, 3))])
def test_backward_input_takes_every_x_shape_of_that_output(
    ops: Ops, dtype: str, extra: tuple[int, int], padding: Any
) -> None:
    """The output_padding of conv_transpose2d: up to stride - 1 rows and columns more."""
    (top, bottom), (left, right) = padding if isinstance(padding, tuple) else ((padding,) * 2,) * 2
    p, q, stride, kernel = 3, 2, 3, 4
    height = (p - 1) * stride + kernel - top - bottom + extra[0]
    width = (q - 1) * stride + kernel - left - right + extra[1]
    g = Convolution((2, 2, height, width), (3, 2, 4, 4), stride=stride, padding=padding)
    assert g.y_shape == (2, 3, p, q)
    check_backward_input(ops, g, {"stride": stride, "padding": padding}, dtype)


def test_the_remainder_of_a_floored_size_gets_no_gradient(ops: Ops, dtype: str) -> None:
    """SEEDS A6: 6x6, kernel 3, stride 2 leaves the last row and column out."""
    dy, w = np.ones((1, 1, 2, 2), dtype), np.ones((1, 1, 3, 3), dtype)
    dx = call(ops, "conv2d_backward_input", dy, w, (1, 1, 6, 6), stride=2)
    assert dx.shape == (1, 1, 6, 6)
    assert not dx[..., 5, :].any()
    assert not dx[..., :, 5].any()
    assert dx[..., :5, :5].all()
    dw = call(
        ops, "conv2d_backward_weight", dy, np.ones((1, 1, 6, 6), dtype), (1, 1, 3, 3), stride=2
    )
    np.testing.assert_array_equal(dw, np.full((1, 1, 3, 3), 4))


def test_channels_of_one_group_stay_apart(ops: Ops, dtype: str) -> None:
    """A NaN in one group reaches that group's outputs and no others."""
    x, w = normal((1, 4, 4, 4), dtype), normal((6, 2, 3, 3), dtype, 1)
    x[0, 3, 1, 1] = np.nan
    y = call(ops, "conv2d_forward", x, w, groups=2)
    assert np.isfinite(y[:, :3]).all()
    assert np.isnan(y[:, 3:]).all()


def test_nan_and_infinity_pass(ops: Ops, dtype: str) -> None:
    x, w = np.ones((1, 1, 3, 4), dtype), np.ones((1, 1, 2, 2), dtype)
    x[0, 0, 0, 0], x[0, 0, 2, 3] = np.nan, np.inf
    y = call(ops, "conv2d_forward", x, w)
    np.testing.assert_array_equal(y[0, 0], [[np.nan, 4, 4], [4, 4, np.inf]])
    fused = call(ops, "conv2d_forward", x, -w, activation="relu")
    np.testing.assert_array_equal(fused[0, 0], [[np.nan, 0, 0], [0, 0, 0]])


def test_the_same_call_gives_the_same_bits(ops: Ops, dtype: str) -> None:
    x, w = normal((9, 8, 33, 31), dtype), normal((16, 8, 3, 3), dtype, 1)
    dy = normal((9, 16, 33, 31), dtype, 2)
    calls = (
        ("conv2d_forward", (x, w)),
        ("conv2d_backward_input", (dy, w, x.shape)),
        ("conv2d_backward_weight", (dy, x, w.shape)),
    )
    for method, args in calls:
        first, second = (call(ops, method, *args, padding=1) for _ in range(2))
        assert first.tobytes() == second.tobytes(), method
    assert (
        call(ops, "conv2d_backward_bias", dy).tobytes()
        == call(ops, "conv2d_backward_bias", dy).tobytes()
    )


SIDE = st.integers(0, 3)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[Convolution, dict[str, Any]]:
    """Small geometries with every setting different along height and width."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups = draw(st.integers(1, 3))
    channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, dilation, stride = pair(1, 3), pair(1, 3), pair(1, 4)
    padding = ((draw(SIDE), draw(SIDE)), (draw(SIDE), draw(SIDE)))
    size = []
    for axis in (0, 1):
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        least = max(1, extent - sum(padding[axis]))
        size.append(draw(st.integers(least, least + 4)))
    kw = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x_shape = (draw(st.integers(0, 2)), channels, *size)
    return Convolution(x_shape, (filters, channels // groups, *kernel), **kw), kw


@settings(max_examples=120)
@given(drawn=geometries(), wide=st.booleans())
def test_any_geometry(ops: Ops, drawn: tuple[Convolution, dict[str, Any]], wide: bool) -> None:
    for check in CHECKS:
        check(ops, *drawn, "float64" if wide else "float32")
