"""Activations, softmax, sums and joins."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call, normal
from tests.ops.test_dense import softmax_terms
from tests.oracles import dense
from tests.oracles.tolerance import assert_close

SHAPES = [(), (0,), (5,), (3, 4), (2, 3, 4, 5), (0, 3, 4, 4)]
ACTIVATIONS = list(dense.ACTIVATIONS)

# Library functions of both sides err by up to 4 ulps each (glibc, NumPy's SIMD loops, CUDA), then
# two or three operations: 16 roundings. Exact ones: at most one product.
ROUNDINGS = {"relu": 0, "leaky_relu": 1, "sigmoid": 16, "tanh": 16}


def check_activation(ops: Ops, name: str, x: np.ndarray) -> None:
    """Forward and backward against the scalar formulas."""
    y = call(ops, f"{name}_forward", x)
    assert y.dtype == x.dtype
    terms = ROUNDINGS[name]
    assert_close(y, dense.each(dense.ACTIVATIONS[name], x), terms=terms, what="y")
    dy = normal(x.shape, x.dtype.name, 1)
    other = x if name.endswith("relu") else y
    dx = call(ops, f"{name}_backward", dy, other)
    assert dx.dtype == x.dtype
    # 1 - y and 1 - y² round relatively to 1, which |dy| bounds; y itself is given.
    magnitude = abs(dy.astype(np.float64)) if terms == 16 else None
    expected = dense.each(dense.SLOPES[name], dy, other)
    assert_close(dx, expected, terms=terms, magnitude=magnitude, what="dx")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(ops: Ops, dtype: str, name: str, shape: tuple[int, ...]) -> None:
    check_activation(ops, name, np.asarray(3 * normal(shape, dtype)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_at_its_limits(ops: Ops, dtype: str, name: str) -> None:
    """No overflow warning, no NaN: the suite turns warnings into errors."""
    huge = float(np.finfo(dtype).max)
    x = np.asarray([-huge, -1000, -90, -20, -1e-30, -0.0, 0.0, 1e-30, 20, 90, 1000, huge], dtype)
    if name == "sigmoid":
        # Below, e^x is subnormal or 0, and its rounding is absolute.
        x = x[x > -80] if dtype == "float32" else x[x > -700]
        edge = call(ops, "sigmoid_forward", np.asarray([-huge, -1000, -np.inf, np.inf], dtype))
        np.testing.assert_array_equal(edge, [0, 0, 0, 1])
    check_activation(ops, name, x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_of_infinity_and_nan(ops: Ops, dtype: str, name: str) -> None:
    x = np.asarray([-np.inf, np.inf, np.nan], dtype)
    y = call(ops, f"{name}_forward", x)
    limits = {"relu": [0, np.inf], "leaky_relu": [-np.inf, np.inf], "sigmoid": [0, 1]}
    np.testing.assert_array_equal(y, [*limits.get(name, [-1, 1]), np.nan])


def test_relu_at_zero(ops: Ops, dtype: str) -> None:
    """x <= 0 gives 0, the gradient at 0 is 0, and NaN passes both ways."""
    x = np.asarray([-1, -0.0, 0, 2, np.nan], dtype)
    y = call(ops, "relu_forward", x)
    np.testing.assert_array_equal(y, [0, 0, 0, 2, np.nan])
    assert not np.signbit(y[:3]).any(), "-0 becomes 0"
    dx = call(ops, "relu_backward", np.full(5, 3, dtype), x)
    np.testing.assert_array_equal(dx, [0, 0, 0, 3, 3])


def test_relu_does_not_spread_infinite_gradients(ops: Ops, dtype: str) -> None:
    """The gradient is chosen, not multiplied: 0·inf would be NaN."""
    x, dy = np.asarray([-1, 1], dtype), np.asarray([np.inf, np.inf], dtype)
    np.testing.assert_array_equal(call(ops, "relu_backward", dy, x), [0, np.inf])


@pytest.mark.parametrize("slope", [0, 0.01, 0.3, 1, -0.5, 2])
def test_leaky_relu_slopes(ops: Ops, dtype: str, slope: float) -> None:
    x = np.asarray([-2, -0.0, 0, 3], dtype)
    y = call(ops, "leaky_relu_forward", x, negative_slope=slope)
    assert_close(y, [-2 * slope, 0, 0, 3], terms=1)
    dx = call(ops, "leaky_relu_backward", np.ones(4, dtype), x, negative_slope=slope)
    assert_close(dx, [slope, slope, slope, 1], terms=1)


@pytest.mark.parametrize("shape", [(4,), (3, 5), (0, 5), (2, 3, 2, 4), (3, 1)])
def test_softmax(ops: Ops, dtype: str, shape: tuple[int, ...]) -> None:
    x = 3 * normal(shape, dtype)
    y = call(ops, "softmax_forward", x)
    assert y.dtype == dtype
    assert_close(y, dense.softmax_rows(x), terms=softmax_terms(x), what="y")
    dy = normal(shape, dtype, 1)
    dx = call(ops, "softmax_backward", dy, y)
    assert dx.dtype == dtype
    share = (abs(dy) * y).sum(axis=-1, keepdims=True, dtype=np.float64)
    assert_close(
        dx,
        dense.softmax_backward(dy, y),
        terms=shape[-1] + 4,
        magnitude=y * (abs(dy) + share) + y * abs(y.sum(axis=-1, keepdims=True) - 1) * abs(dy),
        what="dx",
    )


def test_softmax_of_huge_values(ops: Ops, dtype: str) -> None:
    huge = float(np.finfo(dtype).max)
    x = np.asarray([[huge / 4, huge / 4, -huge / 4], [-1e4, 0, -1e4]], dtype)
    np.testing.assert_array_equal(call(ops, "softmax_forward", x), [[0.5, 0.5, 0], [0, 1, 0]])


@pytest.mark.parametrize("name", [*ACTIVATIONS, "softmax"])
def test_gradient_by_differences(ops: Ops, name: str) -> None:
    """Values stay away from the kink of the (leaky) ReLU."""
    x = normal((3, 4), "float64")
    x += 0.1 * np.sign(x)
    dy = normal((3, 4), "float64", 1)

    def value(x: np.ndarray) -> float:
        return float((call(ops, f"{name}_forward", x) * dy).sum())

    saved = x if name.endswith("relu") else call(ops, f"{name}_forward", x)
    # |tanh'''| <= 2, the others' are below; |dy| < 4.
    gradient = call(ops, f"{name}_backward", dy, saved)
    assert_gradient(value, x, gradient, curvature=2 * float(abs(dy).sum()))


@pytest.mark.parametrize("shape", SHAPES)
def test_add(ops: Ops, dtype: str, shape: tuple[int, ...]) -> None:
    a, b = normal(shape, dtype), normal(shape, dtype, 1)
    total = call(ops, "add", a, b)
    assert total.dtype == dtype
    # One rounding of the exact sum is what NumPy's own addition gives.
    np.testing.assert_array_equal(total, a + b)


@pytest.mark.parametrize("axis", [0, 1, 3, -1, -3])
@pytest.mark.parametrize("sizes", [(2, 1, 3), (4,), (1, 0, 2), (0,)])
def test_concat_and_split_undo_each_other(
    ops: Ops, dtype: str, axis: int, sizes: tuple[int, ...]
) -> None:
    parts = []
    for seed, size in enumerate(sizes):
        shape = [2, 3, 2, 5]
        shape[axis] = size
        parts.append(normal(tuple(shape), dtype, seed))
    joined = call(ops, "concat", parts, axis=axis)
    assert joined.dtype == dtype
    place = 0
    for part in parts:
        step = part.shape[axis]
        taken = np.moveaxis(joined, axis, 0)[place : place + step]
        np.testing.assert_array_equal(taken, np.moveaxis(part, axis, 0))
        place += step
    pieces = call(ops, "split", joined, sizes, axis=axis, may_alias=True)
    assert len(pieces) == len(parts)
    for piece, part in zip(pieces, parts, strict=True):
        np.testing.assert_array_equal(piece, part)


@pytest.mark.parametrize(
    ("method", "args", "kw", "error", "words"),
    [
        ("concat", ([],), {"axis": 0}, ShapeError, "at least one"),
        ("concat", ([(2, 3), (2, 4)],), {"axis": 0}, ShapeError, r"equal sizes.*\(2, 4\)"),
        ("concat", ([(2, 3), (2, 3, 1)],), {"axis": 0}, ShapeError, r"xs\[1\].*2 dimensions"),
        ("concat", ([(2, 3)],), {"axis": 2}, ConfigError, "axis.*2"),
        ("concat", ([(2, 3)],), {"axis": -3}, ConfigError, "axis.*-3"),
        ("concat", ([(2, 3)],), {"axis": 0.5}, ConfigError, "axis.*0.5"),
        ("concat", ([()],), {"axis": 0}, ConfigError, "axis"),
        ("split", ((2, 3), [1, 1]), {"axis": 1}, ShapeError, r"add up to 2.*3"),
        ("split", ((2, 3), [-1, 4]), {"axis": 1}, ConfigError, r"sizes\[0\].*-1"),
        ("split", ((2, 3), [1.0, 2.0]), {"axis": 1}, ConfigError, r"sizes\[0\]"),
        ("split", ((2, 3), [3]), {"axis": 2}, ConfigError, "axis.*2"),
        ("add", ((2, 3), (3,)), {}, ShapeError, r"a must have shape \(3,\)"),
        ("add", ((2, 1), (2, 3)), {}, ShapeError, r"shape \(2, 3\), got \(2, 1\)"),
        ("softmax_forward", ((),), {}, ShapeError, "last axis"),
        ("softmax_forward", ((2, 0),), {}, ShapeError, "last axis"),
    ],
)
def test_bad_joins(
    ops: Ops, method: str, args: tuple[Any, ...], kw: Any, error: type[Exception], words: str
) -> None:
    def build(a: Any) -> Any:
        if isinstance(a, tuple):
            return ops.zeros(a, "float32")
        return [build(item) if isinstance(item, tuple) else item for item in a]

    with pytest.raises(error, match=words):
        getattr(ops, method)(*(build(a) for a in args), **kw)
