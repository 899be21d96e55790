"""What products end in (a sum, ReLU, ReLU's gradient) has the bits of the methods apart."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.errors import ConfigError
from gpucnn.ops.base import Ops
from gpucnn.ops.shapes import Conv2dShape
from tests.ops.harness import call, normal
from tests.ops.test_fused import assert_bits, special

Sizes = tuple[int, ...]

CONVOLUTIONS: dict[str, tuple[Sizes, Sizes, dict[str, Any]]] = {
    "direct": ((2, 3, 7, 6), (5, 3, 3, 3), {"padding": 1}),
    "direct_strided": ((2, 2, 9, 8), (18, 2, 2, 3), {"stride": (3, 2), "dilation": (1, 2)}),
    "direct_groups": ((1, 8, 5, 5), (6, 4, 3, 2), {"groups": 2, "padding": ((0, 1), (1, 0))}),
    "tiled": ((2, 6, 7, 5), (7, 6, 3, 3), {"padding": (1, 2)}),
    "tiled_packs": ((3, 8, 8, 8), (12, 8, 1, 1), {}),
    "tiled_over_tiles": ((2, 33, 9, 8), (35, 33, 3, 3), {"padding": 1}),
    "tiled_strided": ((2, 6, 9, 9), (9, 6, 3, 3), {"stride": 2, "padding": 1}),
    "tiled_groups": ((2, 12, 6, 6), (10, 6, 3, 3), {"groups": 2, "dilation": 2, "padding": 2}),
    "depthwise": ((2, 4, 9, 6), (8, 1, 3, 3), {"groups": 4, "padding": 1}),
    "depthwise_strided": ((2, 3, 11, 7), (3, 1, 3, 3), {"groups": 3, "stride": 2}),
    "no_tap": ((1, 5, 7, 7), (6, 5, 2, 2), {"stride": 3, "padding": 1}),
    "one_row_a_kernel_row": ((2, 16, 6, 6), (8, 16, 3, 3), {"padding": 1}),
    "empty": ((0, 5, 4, 4), (6, 5, 3, 3), {}),
}
"""x, w and settings: each kind of kernel, whole packs and others, phases without a tap."""

LINEARS: dict[str, Sizes] = {
    "small": (3, 5, 7),
    "packs": (8, 64, 32),
    "split_forward": (4, 700, 6),
    "split_backward": (4, 6, 700),
    "empty": (0, 4, 3),
}
"""N, features and units."""


def finite(shape: Sizes, dtype: str, seed: int) -> np.ndarray:
    return np.asarray(normal(shape, dtype, seed))


def check_forward(
    ops: Ops, name: str, dtype: str, *, bias: bool, residual: bool, relu: bool
) -> None:
    """Against a convolution, a sum and a ReLU."""
    x_shape, w_shape, how = CONVOLUTIONS[name]
    x, w = finite(x_shape, dtype, 1), finite(w_shape, dtype, 2)
    b = finite(w_shape[:1], dtype, 3) if bias else None
    expected = call(ops, "conv2d_forward", x, w, b, **how)
    extra: dict[str, Any] = {}
    if residual:
        other = finite(expected.shape, dtype, 4)
        other.reshape(-1)[::3] = -expected.reshape(-1)[::3]  # sums that are exactly 0
        extra["residual"] = special(other)
        expected = call(ops, "add", expected, other)
    if relu:
        extra["activation"] = "relu"
        expected = call(ops, "relu_forward", expected)
    assert_bits(call(ops, "conv2d_forward", x, w, b, **how, **extra), expected)


def check_backward_input(ops: Ops, name: str, dtype: str, *, residual: bool, relu: bool) -> None:
    """Against a convolution's gradient, a sum, and ReLU's gradient."""
    x_shape, w_shape, how = CONVOLUTIONS[name]
    dy_shape = Conv2dShape.of(x_shape, w_shape, **how).y_shape
    dy, w = finite(dy_shape, dtype, 5), finite(w_shape, dtype, 6)
    expected = call(ops, "conv2d_backward_input", dy, w, x_shape, **how)
    extra: dict[str, Any] = {}
    if residual:
        extra["residual"] = special(finite(x_shape, dtype, 7))
        expected = call(ops, "add", expected, extra["residual"])
    if relu:
        x = finite(x_shape, dtype, 8)
        x.reshape(-1)[1::4] = 0
        extra["relu_y"] = special(x[..., ::-1, ::-1].copy())
        expected = call(ops, "relu_backward", expected, extra["relu_y"])
    assert_bits(call(ops, "conv2d_backward_input", dy, w, x_shape, **how, **extra), expected)


def check_linear(ops: Ops, name: str, dtype: str, *, bias: bool = True) -> None:
    """Forward and backward, against the product and ReLU's two passes."""
    n, features, units = LINEARS[name]
    x, w = special(finite((n, features), dtype, 9)), finite((units, features), dtype, 10)
    b = finite((units,), dtype, 11) if bias else None
    with np.errstate(invalid="ignore"):
        y = call(ops, "linear_forward", x, w, b)
        relu = call(ops, "relu_forward", y)
        assert_bits(call(ops, "linear_forward", x, w, b, activation="relu"), relu)
        dy = finite((n, units), dtype, 12)
        dx, *expected = call(ops, "linear_backward", dy, x, w)
        found = call(ops, "linear_backward", dy, x, w, relu_y=x)
    for one, other in zip(found, (call(ops, "relu_backward", dx, x), *expected), strict=True):
        assert_bits(one, other)


@pytest.mark.parametrize(
    ("bias", "residual", "relu"),
    [(True, True, True), (False, True, True), (True, True, False), (True, False, True)],
)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv2d_forward(
    ops: Ops, dtype: str, name: str, bias: bool, residual: bool, relu: bool
) -> None:
    check_forward(ops, name, dtype, bias=bias, residual=residual, relu=relu)


@pytest.mark.parametrize(("residual", "relu"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv2d_backward_input(ops: Ops, dtype: str, name: str, residual: bool, relu: bool) -> None:
    check_backward_input(ops, name, dtype, residual=residual, relu=relu)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", LINEARS)
def test_linear(ops: Ops, dtype: str, name: str, bias: bool) -> None:
    check_linear(ops, name, dtype, bias=bias)


@pytest.mark.parametrize("name", ["tiled_packs", "direct", "depthwise", "tiled_over_tiles"])
def test_a_sum_that_is_not_finite_ends_the_same_way(ops: Ops, name: str) -> None:
    """ReLU passes NaN; an infinite gradient that is cut is 0, not NaN."""
    x_shape, w_shape, how = CONVOLUTIONS[name]
    x, w = finite(x_shape, "float32", 1), finite(w_shape, "float32", 2)
    x[0, 0, 1, 1], x[-1, -1, -2, -2] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        y = call(ops, "conv2d_forward", x, w, **how)
        other = finite(y.shape, "float32", 3)
        expected = call(ops, "relu_forward", call(ops, "add", y, other))
        found = call(ops, "conv2d_forward", x, w, **how, residual=other, activation="relu")
        np.testing.assert_array_equal(found, expected)
        dy = finite(y.shape, "float32", 4)
        dy[0, 0, 1, 1], dy[-1, -1, -2, -2] = np.inf, np.nan
        dx = call(ops, "conv2d_backward_input", dy, w, x.shape, **how)
        expected = call(ops, "relu_backward", dx, x)
        found = call(ops, "conv2d_backward_input", dy, w, x.shape, **how, relu_y=x)
    np.testing.assert_array_equal(found, expected)
    assert not np.isfinite(dx).all()


@settings(max_examples=40)
@given(
    n=st.integers(1, 3), groups=st.integers(1, 3), channels=st.integers(1, 6),
    filters=st.integers(1, 6), size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)), stride=st.integers(1, 3),
    padding=st.integers(0, 2), dilation=st.integers(1, 2), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_any_convolution(
    ops: Ops, n: int, groups: int, channels: int, filters: int, size: tuple[int, int],
    kernel: tuple[int, int], stride: int, padding: int, dilation: int, seed: int,
) -> None:  # fmt: skip
    reach = (dilation * (k - 1) + 1 - 2 * padding for k in kernel)
    if any(span > cells for span, cells in zip(reach, size, strict=True)):
        return
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = finite((n, groups * channels, *size), "float32", seed)
    w = finite((groups * filters, channels, *kernel), "float32", seed + 1)
    y = call(ops, "conv2d_forward", x, w, **how)
    other = finite(y.shape, "float32", seed + 2)
    expected = call(ops, "relu_forward", call(ops, "add", y, other))
    found = call(ops, "conv2d_forward", x, w, **how, residual=other, activation="relu")
    assert_bits(found, expected)
    more = finite(x.shape, "float32", seed + 3)
    dx = call(ops, "add", call(ops, "conv2d_backward_input", y, w, x.shape, **how), more)
    expected = call(ops, "relu_backward", dx, x)
    found = call(ops, "conv2d_backward_input", y, w, x.shape, **how, residual=more, relu_y=x)
    assert_bits(found, expected)


@pytest.mark.parametrize("residual", [True, False])
def test_batch_norm_that_leaves_the_backward_of_its_relu(
    ops: Ops, dtype: str, residual: bool
) -> None:
    """Its backward is that of a batch norm without ReLU, which is given what passed ReLU."""
    shape = (3, 2, 5, 4)
    x, dy = finite(shape, dtype, 1), finite(shape, dtype, 2)
    channels = [abs(finite((2,), dtype, seed)) for seed in range(3, 7)]
    how: dict[str, Any] = {"train": True, "writes": (3, 4)}
    if residual:
        how["residual"] = finite(shape, dtype, 7)
    left, own, plain = (
        call(ops, "batch_norm2d_forward", x, *(a.copy() for a in channels), **how, **more)
        for more in (
            {"activation": "relu", "activation_backward": False},
            {"activation": "relu"},
            {},
        )
    )
    assert_bits(left[0], own[0])
    delta = call(ops, "relu_backward", dy, own[0])
    found, wanted, same = (
        call(ops, "batch_norm2d_backward", d, saved, channels[0], may_alias=True)
        for d, saved in ((delta, left[1]), (dy, own[1]), (delta, plain[1]))
    )
    assert len(found) == len(wanted) == len(same) == 3 + residual
    for one, other, third in zip(found, wanted, same, strict=True):
        assert_bits(one, other)
        assert_bits(one, third)
    raw = call(ops, "batch_norm2d_backward", dy, left[1], channels[0], may_alias=True)
    assert raw[0].tobytes() != found[0].tobytes()


def test_linear_knows_one_activation(ops: Ops) -> None:
    x, w = ops.zeros((2, 3), "float32"), ops.zeros((4, 3), "float32")
    with pytest.raises(ConfigError, match="activation"):
        ops.linear_forward(x, w, activation="tanh")
