"""Optimizer steps against scalar formulas, averages, clipping and the two reductions."""

from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from tests.ops.harness import call, normal
from tests.oracles import updates
from tests.oracles.tolerance import assert_close

# Twelve operations at most lead to a number, two of them square root and division.
ROUNDINGS = 16
SIZE = 37


def arena(dtype: str, seed: int, *, positive: bool = False) -> np.ndarray:
    a = normal(SIZE, dtype, seed)
    return abs(a) if positive else a


def scalars(*arrays: np.ndarray | None) -> list[tuple[Any, ...]]:
    """The arrays' elements side by side, None for an array that is not there."""
    columns = [[None] * SIZE if a is None else a.astype(np.float64).tolist() for a in arrays]
    return list(zip(*columns, strict=True))


def check(
    actual: list[np.ndarray | None], expected: list[tuple[Any, ...]], scales: list[np.ndarray]
) -> None:
    for i, (a, scale) in enumerate(zip(actual, scales, strict=True)):
        if a is not None:
            column = np.array([row[i] for row in expected])
            assert_close(a, column, terms=ROUNDINGS, magnitude=scale, what=f"array {i}")


SCALES = [None, "some"]


def lr_scale(dtype: str, kind: str | None) -> np.ndarray | None:
    """Rates of 0, 1 and between."""
    if kind is None:
        return None
    scale = np.linspace(0, 2, SIZE).astype(dtype)
    scale[5] = 1
    return scale


def rates(lr: float, scale: np.ndarray | None) -> list[float]:
    return [lr * s for s in (np.ones(SIZE) if scale is None else scale.astype(np.float64))]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
        {"weight_decay": 0.1},
        {"nesterov": True},
    ],
)
def test_sgd(ops: Ops, dtype: str, options: dict[str, Any], scale: str | None) -> None:
    lr, factors = 0.05, lr_scale(dtype, scale)
    values, grads = arena(dtype, 0), arena(dtype, 1)
    velocity = arena(dtype, 2) if options.get("momentum") else None
    before = scalars(values, grads, velocity)
    expected = [
        updates.sgd(*row, lr=rate, **options)
        for row, rate in zip(before, rates(lr, factors), strict=True)
    ]
    decay, momentum = options.get("weight_decay", 0.0), options.get("momentum", 0.0)
    g = abs(grads) + decay * abs(values)
    v = g if velocity is None else momentum * abs(velocity) + g
    scales = [abs(values) + lr * 2 * (g + v), v]
    writes = (0,) if velocity is None else (0, 2)
    call(ops, "sgd_update", values, grads, velocity, lr=lr, lr_scale=factors, writes=writes,
         **options)  # fmt: skip
    check([values, velocity], expected, scales)


def test_sgd_leaves_a_velocity_alone_without_momentum(ops: Ops, dtype: str) -> None:
    values, grads, velocity = (arena(dtype, seed) for seed in range(3))
    call(ops, "sgd_update", values, grads, velocity, lr=0.1, writes=(0,))


def check_adam(ops: Ops, dtype: str, step: int, options: dict[str, Any], scale: Any) -> None:
    lr, factors = 0.01, lr_scale(dtype, scale)
    values, grads, first = (arena(dtype, seed) for seed in range(3))
    second = arena(dtype, 3, positive=True)
    if step == 1:
        first[:], second[:] = 0, 0
    before = scalars(values, grads, first, second)
    expected = [
        updates.adam(*row, lr=rate, step=step, **options)
        for row, rate in zip(before, rates(lr, factors), strict=True)
    ]
    decay = options.get("weight_decay", 0.0)
    coupled = 0.0 if options.get("decoupled") else decay
    beta1, beta2 = options.get("beta1", 0.9), options.get("beta2", 0.999)
    g = (abs(grads) + coupled * abs(values)).astype(np.float64)
    m = beta1 * abs(first) + (1 - beta1) * g
    s = beta2 * second + (1 - beta2) * g * g
    # The second moment's relative error is that of a sum without cancellation in v, but g² may
    # cancel inside g: s over the true value measures it.
    true_s = np.array([row[2] for row in expected])
    true_m = np.array([abs(row[1]) for row in expected])
    root = np.sqrt(true_s / (1 - beta2**step)) + options.get("eps", 1e-8)
    unit = (m + true_m * s / true_s) / (1 - beta1**step) / root
    scales = [abs(values) * (1 + lr * decay) + 2 * lr * unit, m, s]
    call(ops, "adam_update", values, grads, first, second, lr=lr, step=step, lr_scale=factors,
         writes=(0, 2, 3), **options)  # fmt: skip
    check([values, first, second], expected, scales)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("step", [1, 2, 1000, 2**31 + 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "decoupled": True},
        {"beta1": 0, "beta2": 0.5},
    ],
)
def test_adam(ops: Ops, dtype: str, step: int, options: dict[str, Any], scale: str | None) -> None:
    check_adam(ops, dtype, step, options, scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.5, "eps": 1e-3},
        {"momentum": 0.9},
        {"momentum": 0.5, "weight_decay": 0.2, "alpha": 0},
    ],
)
def test_rmsprop(ops: Ops, dtype: str, options: dict[str, Any], scale: str | None) -> None:
    lr, factors = 0.01, lr_scale(dtype, scale)
    values, grads = arena(dtype, 0), arena(dtype, 1)
    second = arena(dtype, 2, positive=True)
    velocity = arena(dtype, 3) if options.get("momentum") else None
    before = scalars(values, grads, second, velocity)
    expected = [
        updates.rmsprop(*row, lr=rate, **options)
        for row, rate in zip(before, rates(lr, factors), strict=True)
    ]
    alpha, momentum = options.get("alpha", 0.99), options.get("momentum", 0.0)
    g = (abs(grads) + options.get("weight_decay", 0.0) * abs(values)).astype(np.float64)
    s = alpha * second + (1 - alpha) * g * g
    true_s = np.array([row[1] for row in expected])
    unit = 2 * g * s / true_s / (np.sqrt(true_s) + options.get("eps", 1e-8))
    v = unit if velocity is None else unit + momentum * abs(velocity)
    scales = [abs(values) + 2 * lr * v, s, v]
    writes = (0, 2) if velocity is None else (0, 2, 3)
    call(ops, "rmsprop_update", values, grads, second, velocity, lr=lr, lr_scale=factors,
         writes=writes, **options)  # fmt: skip
    check([values, second, velocity], expected, scales)


def test_zero_gradients_of_the_padding_stay_zero(ops: Ops, dtype: str) -> None:
    """Arenas are padded with zeros: no step may make a NaN or a number of them."""

    def zeros() -> np.ndarray:
        return np.zeros(SIZE, dtype)

    values, state, velocity = zeros(), zeros(), zeros()
    call(ops, "adam_update", values, zeros(), zeros(), zeros(), lr=0.1, step=1, writes=(0, 2, 3))
    call(ops, "rmsprop_update", values, zeros(), state, velocity, lr=0.1, momentum=0.9,
         writes=(0, 2, 3))  # fmt: skip
    call(ops, "sgd_update", values, zeros(), velocity, lr=0.1, momentum=0.9, writes=(0, 2))
    assert not values.any()


def test_a_rate_of_zero_changes_no_value(ops: Ops, dtype: str) -> None:
    values, grads, velocity = (arena(dtype, seed) for seed in range(3))
    before = values.copy()
    call(ops, "sgd_update", values, grads, velocity, lr=0, momentum=0.9, weight_decay=0.1,
         writes=(0, 2))  # fmt: skip
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("decay", [0, 0.5, 0.999, 1])
def test_ema(ops: Ops, dtype: str, decay: float) -> None:
    average, values = arena(dtype, 0), arena(dtype, 1)
    expected = decay * average.astype(np.float64) + (1 - decay) * values.astype(np.float64)
    # Also right if written as average + (1 - decay)·(values - average).
    size = 2 * abs(average.astype(np.float64)) + abs(values)
    call(ops, "ema_update", average, values, decay=decay, writes=(0,))
    assert_close(average, expected, terms=4, magnitude=size)


@pytest.mark.parametrize("max_norm", [0, 0.5, 1e30])
def test_clip_by_global_norm(ops: Ops, dtype: str, max_norm: float) -> None:
    grads = arena(dtype, 0)
    before = grads.astype(np.float64)
    true = float(np.sqrt((before**2).sum()))
    norm = call(ops, "clip_by_global_norm", grads, max_norm=max_norm, writes=(0,))
    assert norm.shape == ()
    assert norm.dtype == dtype
    assert_close(norm, true, terms=SIZE + 4)
    if max_norm >= true:
        np.testing.assert_array_equal(grads, before, err_msg="a norm inside changes nothing")
    else:
        assert_close(grads, before * (max_norm / true), terms=SIZE + 8)


def test_clipping_huge_gradients(ops: Ops, dtype: str) -> None:
    """Their squares would overflow; the norm does not."""
    huge = np.asarray(float(np.finfo(dtype).max) / 8, dtype)
    grads = np.asarray([3, 0, -4, 0], dtype) / 4 * huge
    norm = call(ops, "clip_by_global_norm", grads, max_norm=10, writes=(0,))
    assert_close(norm, 1.25 * float(huge), terms=12)
    assert_close(grads, [6, 0, -8, 0], terms=16)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_gradients_are_not_clipped(ops: Ops, dtype: str, bad: float) -> None:
    grads = np.asarray([1, bad, 5], dtype)
    before = grads.copy()
    norm = call(ops, "clip_by_global_norm", grads, max_norm=0.1, writes=(0,))
    assert not np.isfinite(norm)
    np.testing.assert_array_equal(grads, before)


def test_clipping_zeros_and_nothing(ops: Ops, dtype: str) -> None:
    for size in (0, 4):
        grads = np.zeros(size, dtype)
        assert call(ops, "clip_by_global_norm", grads, max_norm=1, writes=(0,)) == 0
        assert not grads.any()


@pytest.mark.parametrize(
    ("content", "largest", "finite"),
    [
        ([], 0, True),
        ([0.0], 0, True),
        ([1, -3, 2], 3, True),
        ([[1, 2], [-0.5, 1]], 2, True),
        ([1, np.nan, 5], np.nan, False),
        ([-np.inf, 1], np.inf, False),
        ([np.inf, np.nan], np.nan, False),
        (-4.0, 4, True),
    ],
)
def test_max_abs_and_all_finite(
    ops: Ops, dtype: str, content: Any, largest: float, finite: bool
) -> None:
    a = np.asarray(content, dtype)
    top = call(ops, "max_abs", a)
    assert top.shape == ()
    assert top.dtype == dtype
    np.testing.assert_array_equal(top, largest)
    answer = call(ops, "all_finite", a)
    assert answer.shape == ()
    assert answer.dtype == bool
    assert bool(answer) is finite


def test_updates_of_an_empty_arena(ops: Ops, dtype: str) -> None:
    nothing = [np.zeros(0, dtype) for _ in range(4)]
    call(ops, "sgd_update", *nothing[:3], lr=0.1, momentum=0.9)
    call(ops, "adam_update", *nothing, lr=0.1, step=1)
    call(ops, "rmsprop_update", *nothing, lr=0.1, momentum=0.9)
    call(ops, "ema_update", *nothing[:2], decay=0.5)
