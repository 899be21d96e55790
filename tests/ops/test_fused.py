"""What a method does for its neighbours has the bits of the methods that would do it alone."""

from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.contract.rates import ema_rates
from tests.ops.harness import call, normal
from tests.ops.test_step_values import UPDATES, arenas

SHAPES = [(3, 2, 5, 3), (2, 3, 4, 4), (5, 2, 46, 45), (0, 2, 3, 3)]
"""Runs of whole vectors and of others, more than one chunk, an empty batch."""

POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 6, 6), {"kernel_size": 2}),
    ((2, 3, 9, 7), {"kernel_size": 3, "ceil_mode": True, "padding": 1}),
    ((2, 3, 9, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 2, 8, 8), {"kernel_size": 3, "stride": 1, "dilation": 2}),
]


def assert_bits(found: Any, expected: Any) -> None:
    """Equal as bytes: signs of zeros and NaN included."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)
    assert found.tobytes() == expected.tobytes()


def special(a: np.ndarray) -> np.ndarray:
    """`a` with a zero of either sign, infinities and a NaN at its end, where it is large enough."""
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], a.dtype)
    flat = a.reshape(-1)
    flat[flat.size - min(5, flat.size) :] = values[: flat.size]
    return a


def check_batch_norm(
    ops: Ops, shape: tuple[int, ...], dtype: str, *, train: bool, residual: bool, relu: bool
) -> None:
    """Forward, all gradients and running statistics, against batch norm, add and ReLU apart."""
    x, dy, other = normal(shape, dtype), special(normal(shape, dtype, 1)), normal(shape, dtype, 2)
    special(other)
    channels = [normal(shape[1], dtype, seed) for seed in range(3, 7)]
    channels[3] = abs(channels[3]) + 1
    if x.size:
        # Infinities in x would make all of a channel NaN; a y of exactly 0, beta, is worth having.
        channels[0][0] = channels[1][0] = 0
    options: dict[str, Any] = {"train": train, "momentum": 0.25}
    fused_args, args = ([a.copy() for a in channels] for _ in range(2))
    extra = {"residual": other} if residual else {}
    y, saved = call(
        ops, "batch_norm2d_forward", x, *fused_args, writes=(3, 4), **options, **extra,
        activation="relu" if relu else None,
    )  # fmt: skip
    expected, plain = call(ops, "batch_norm2d_forward", x, *args, writes=(3, 4), **options)
    if residual:
        expected = call(ops, "add", expected, other)
    if relu:
        expected = call(ops, "relu_forward", expected)
    assert_bits(y, expected)
    for fused_arg, arg in zip(fused_args, args, strict=True):
        assert_bits(fused_arg, arg)
    found = call(ops, "batch_norm2d_backward", dy, saved, channels[0], may_alias=not relu)
    delta = call(ops, "relu_backward", dy, expected) if relu else dy
    gradients = call(ops, "batch_norm2d_backward", delta, plain, channels[0])
    assert len(gradients) == 3
    for one, other_one in zip(found, (*gradients, *([delta] if residual else [])), strict=True):
        assert_bits(one, other_one)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("residual", "relu"), [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm(
    ops: Ops, dtype: str, shape: tuple[int, ...], train: bool, residual: bool, relu: bool
) -> None:
    check_batch_norm(ops, shape, dtype, train=train, residual=residual, relu=relu)


def test_batch_norm_hands_nan_on(ops: Ops, dtype: str) -> None:
    """ReLU passes NaN and the gradient behind it: one NaN makes its whole channel NaN."""
    shape = (2, 2, 3, 3)
    x, dy = normal(shape, dtype), normal(shape, dtype, 1)
    x[0, 0, 1, 1] = np.nan
    one, zero = np.ones(2, dtype), np.zeros(2, dtype)
    y, saved = call(
        ops, "batch_norm2d_forward", x, one, zero, zero, one, writes=(3, 4), train=True,
        activation="relu",
    )  # fmt: skip
    assert np.isnan(y[:, 0]).all()
    assert (y[:, 1] >= 0).all()
    dx, _, dbeta = call(ops, "batch_norm2d_backward", dy, saved, one)
    assert np.isnan(dx[:, 0]).all()
    assert np.isfinite(dx[:, 1]).all()
    np.testing.assert_allclose(dbeta[0], dy[:, 0].sum(), rtol=1e-5)


def check_add(ops: Ops, size: int, dtype: str) -> None:
    a, b = special(normal((size,), dtype)), normal((size,), dtype, 1)
    a[: size // 2] = -b[: size // 2]
    apart = call(ops, "relu_forward", call(ops, "add", a, b))
    assert_bits(call(ops, "add", a, b, activation="relu"), apart)


@pytest.mark.parametrize("size", [0, 1, 1031])
def test_add(ops: Ops, dtype: str, size: int) -> None:
    check_add(ops, size, dtype)


def check_max_pool(ops: Ops, dtype: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    """Windows of zeros alone, and with a NaN, among others."""
    x = normal(shape, dtype)
    x[0, 0] = -1
    x[-1, -1, 3, 3] = np.nan
    x = call(ops, "relu_forward", x)
    y, argmax = call(ops, "max_pool2d_forward", x, **options)
    assert (y == 0).any()
    assert np.isnan(y).any()
    dy = normal(y.shape, dtype, 1)
    apart = call(ops, "max_pool2d_backward", dy, argmax, shape, **options)
    apart = call(ops, "relu_backward", apart, x)
    assert_bits(call(ops, "max_pool2d_backward", dy, argmax, shape, **options, relu_y=y), apart)


@pytest.mark.parametrize(("shape", "options"), POOLS)
def test_max_pool(ops: Ops, dtype: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    check_max_pool(ops, dtype, shape, options)


@pytest.mark.parametrize("groups", [1, 4])
def test_convolution(ops: Ops, dtype: str, groups: int) -> None:
    """One output map of zeros of either sign, one of NaN."""
    x, w = normal((2, 8, 7, 6), dtype), normal((12, 8 // groups, 3, 3), dtype, 1)
    b = normal((12,), dtype, 2)
    w[0], b[0] = 0, -0.0
    b[1] = np.nan
    apart = call(ops, "relu_forward", call(ops, "conv2d_forward", x, w, b, groups=groups))
    fused = call(ops, "conv2d_forward", x, w, b, groups=groups, activation="relu")
    assert_bits(fused, apart)


def check_average(ops: Ops, method: str, dtype: str, *, only_if: bool | None = None) -> None:
    """An update and its average in one call, the decay a number and in memory."""
    _, changing, options, _ = UPDATES[method]
    options = options | changing
    if only_if is not None:
        options["only_if"] = ops.asarray(np.array(only_if))
    apart, start = arenas(ops, method, dtype), ops.asarray(normal(1031, dtype, 9))
    expected = ops.asarray(ops.to_numpy(start).copy())
    getattr(ops, method)(*apart, **options)
    ops.ema_update(expected, apart[0], decay=0.9, only_if=options.get("only_if"))
    for decay in (0.9, ops.asarray(np.array(ema_rates(0.9), dtype))):
        fused, average = arenas(ops, method, dtype), ops.asarray(ops.to_numpy(start).copy())
        getattr(ops, method)(*fused, **options, average=average, decay=decay)
        for one, other in zip([*fused, average], [*apart, expected], strict=True):
            assert_bits(ops.to_numpy(one), ops.to_numpy(other))


@pytest.mark.parametrize("only_if", [None, True, False])
@pytest.mark.parametrize("method", [name for name in UPDATES if name != "ema_update"])
def test_average(ops: Ops, dtype: str, method: str, only_if: bool | None) -> None:
    check_average(ops, method, dtype, only_if=only_if)
