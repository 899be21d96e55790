"""Batch norm against the oracle, differences and its limits."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call, normal
from tests.oracles import normalization
from tests.oracles.tolerance import assert_close, gamma

BATCH_NORM_SHAPES = [(4, 3, 5, 2), (2, 1, 1, 1), (1, 2, 3, 4), (6, 2, 1, 1), (1, 2, 1, 2)]


def batch_norm_arrays(shape: tuple[int, ...], dtype: str, offset: float) -> dict[str, np.ndarray]:
    channels = shape[1]
    return {
        "x": np.asarray(normal(shape, "float64") + offset, dtype),
        "gamma": normal(channels, dtype, 1),
        "beta": normal(channels, dtype, 2),
        "mean": normal(channels, dtype, 3),
        "var": abs(normal(channels, dtype, 4)) + np.asarray(0.1, dtype),
        "dy": normal(shape, dtype, 5),
    }


def check_batch_norm(
    ops: Ops, shape: tuple[int, ...], dtype: str, *, train: bool, offset: float = 0.5
) -> None:
    """Both passes and the running statistics.

    First-order error analysis, M values a channel: the mean errs by e = γ_M·mean|x|, the variance
    relatively by γ_M (about the mean there is no cancellation), so x̂ by e/σ + γ_M·|x̂|. The
    gradients' sums then err by γ_M of their absolute terms, and by the error of x̂ inside them.
    """
    a = batch_norm_arrays(shape, dtype, offset)
    momentum, eps = 0.3, 1e-3
    mean, var = a["mean"].copy(), a["var"].copy()
    y, saved = call(
        ops, "batch_norm2d_forward", a["x"], a["gamma"], a["beta"], mean, var,
        writes=(3, 4), train=train, momentum=momentum, eps=eps,
    )  # fmt: skip
    batch = normalization.channels(a["x"], eps)
    given = normalization.running_channels(a["x"], a["mean"], a["var"], eps)
    parts = batch if train else given
    count = len(batch[0].values)
    terms = count + 16
    spread = np.array([sum(map(abs, part.values)) / count for part in batch])
    scale = np.array([part.scale for part in parts])
    gain = abs(a["gamma"].astype(np.float64)) * scale
    # The error of x̂ that the mean's error makes; in evaluation the mean is exact, x - mean is not.
    shift = spread * scale if train else np.zeros_like(scale)

    def channel(values: np.ndarray) -> np.ndarray:
        return values[:, None, None]

    hat = np.stack([np.reshape(p.normalised, a["x"][:, 0].shape) for p in parts], axis=1)
    assert y.dtype == dtype
    assert_close(
        y,
        normalization.forward(shape, parts, a["gamma"], a["beta"]),
        terms=terms,
        magnitude=channel(gain / scale) * (abs(hat) + channel(shift))
        + channel(abs(a["beta"].astype(np.float64))),
        what="y",
    )
    if train:
        unbiased = np.array([p.var * count / (count - 1) for p in batch])
        means = np.array([p.mean for p in batch])
        new_mean = (1 - momentum) * a["mean"].astype(np.float64) + momentum * means
        new_var = (1 - momentum) * a["var"].astype(np.float64) + momentum * unbiased
        size = abs(a["mean"].astype(np.float64)) + spread
        assert_close(mean, new_mean, terms=terms, magnitude=size, what="running mean")
        # The mean's error enters the variance squared.
        slack = new_var + (gamma(terms, dtype) * spread) ** 2 / gamma(terms, dtype)
        assert_close(var, new_var, terms=terms, magnitude=slack, what="running variance")
    else:
        np.testing.assert_array_equal(mean, a["mean"])
        np.testing.assert_array_equal(var, a["var"])

    dx, dgamma, dbeta = call(ops, "batch_norm2d_backward", a["dy"], saved, a["gamma"])
    expected = normalization.backward(a["dy"], parts, a["gamma"], train=train)
    delta = abs(a["dy"].astype(np.float64))
    axes = (0, 2, 3)
    products, totals = (delta * abs(hat)).sum(axis=axes), delta.sum(axis=axes)
    assert dx.dtype == dgamma.dtype == dbeta.dtype == dtype
    assert_close(dbeta, expected[2], terms=terms, magnitude=totals, what="dbeta")
    assert_close(
        dgamma, expected[1], terms=terms, magnitude=products + shift * totals, what="dgamma"
    )
    magnitude = delta
    if train:
        slope = channel((products + shift * totals) / count)
        magnitude = delta + channel(totals / count) + (abs(hat) + channel(shift)) * slope
    assert_close(dx, expected[0], terms=2 * terms, magnitude=channel(gain) * magnitude, what="dx")


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", BATCH_NORM_SHAPES)
def test_batch_norm(ops: Ops, dtype: str, shape: tuple[int, ...], train: bool) -> None:
    check_batch_norm(ops, shape, dtype, train=train)


@pytest.mark.parametrize("offset", [1000.0, -30.0])
def test_batch_norm_of_a_large_mean(ops: Ops, dtype: str, offset: float) -> None:
    """A variance taken as E[x²] - E[x]² would lose all digits in float32."""
    check_batch_norm(ops, (4, 2, 5, 5), dtype, train=True, offset=offset)


def test_batch_norm_needs_a_channel(ops: Ops, dtype: str) -> None:
    a = batch_norm_arrays((2, 0, 3, 3), dtype, 0)
    args = [ops.asarray(a[key].copy()) for key in ("x", "gamma", "beta", "mean", "var")]
    with pytest.raises(ShapeError, match=r"at least one channel.*\(2, 0, 3, 3\)"):
        ops.batch_norm2d_forward(*args, train=True)


def test_batch_norm_of_one_value_has_no_variance(ops: Ops, dtype: str) -> None:
    a = batch_norm_arrays((1, 3, 1, 1), dtype, 0)
    args = [ops.asarray(a[key].copy()) for key in ("x", "gamma", "beta", "mean", "var")]
    with pytest.raises(ShapeError, match=r"more than one value.*\(1, 3, 1, 1\)"):
        ops.batch_norm2d_forward(*args, train=True)
    np.testing.assert_array_equal(ops.to_numpy(args[3]), a["mean"])
    y, _ = ops.batch_norm2d_forward(*args, train=False)
    assert y.shape == (1, 3, 1, 1)


def test_batch_norm_of_an_empty_batch(ops: Ops, dtype: str) -> None:
    for train in (True, False):
        a = batch_norm_arrays((0, 3, 4, 4), dtype, 0)
        mean, var = a["mean"].copy(), a["var"].copy()
        y, saved = call(
            ops, "batch_norm2d_forward", a["x"], a["gamma"], a["beta"], mean, var,
            writes=(3, 4), train=train,
        )  # fmt: skip
        assert y.shape == (0, 3, 4, 4)
        np.testing.assert_array_equal(mean, a["mean"])
        np.testing.assert_array_equal(var, a["var"])
        dx, dgamma, dbeta = call(ops, "batch_norm2d_backward", a["dy"], saved, a["gamma"])
        assert dx.shape == (0, 3, 4, 4)
        np.testing.assert_array_equal(dgamma, np.zeros(3))
        np.testing.assert_array_equal(dbeta, np.zeros(3))
        assert dx.dtype == dgamma.dtype == dbeta.dtype == dtype


def test_batch_norm_of_a_constant_channel(ops: Ops, dtype: str) -> None:
    """Variance 0: eps alone keeps it finite, and y is beta."""
    x = np.full((2, 1, 3, 3), 7, dtype)
    one, zero = np.ones(1, dtype), np.zeros(1, dtype)
    y, saved = call(
        ops, "batch_norm2d_forward", x, one, one * 5, zero, one, train=True, writes=(3, 4)
    )
    np.testing.assert_array_equal(y, np.full_like(x, 5))
    dx, _, _ = call(ops, "batch_norm2d_backward", np.ones_like(x), saved, one)
    np.testing.assert_array_equal(dx, np.zeros_like(x))


def test_batch_norm_eval_statistics_are_those_of_the_forward(ops: Ops, dtype: str) -> None:
    """What is saved is not changed by a later training step on the same buffers."""
    a = batch_norm_arrays((4, 2, 3, 3), dtype, 0)
    x, gamma_, beta, mean, var, dy = (
        ops.asarray(a[key].copy()) for key in ("x", "gamma", "beta", "mean", "var", "dy")
    )
    _, saved = ops.batch_norm2d_forward(x, gamma_, beta, mean, var, train=False)
    before = [ops.to_numpy(g).copy() for g in ops.batch_norm2d_backward(dy, saved, gamma_)]
    ops.batch_norm2d_forward(x, gamma_, beta, mean, var, train=True)
    after = [ops.to_numpy(g) for g in ops.batch_norm2d_backward(dy, saved, gamma_)]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_gradients_by_differences(ops: Ops, train: bool) -> None:
    a = batch_norm_arrays((3, 2, 2, 3), "float64", 0.5)

    def run(**changed: np.ndarray) -> tuple[np.ndarray, Any]:
        arrays = {**a, **changed}
        result: tuple[np.ndarray, Any] = call(
            ops, "batch_norm2d_forward", arrays["x"], arrays["gamma"], arrays["beta"],
            a["mean"].copy(), a["var"].copy(), train=train, writes=(3, 4), eps=0.1,
        )  # fmt: skip
        return result

    _, saved = run()
    gradients = call(ops, "batch_norm2d_backward", a["dy"], saved, a["gamma"])
    for name, gradient in zip(("x", "gamma", "beta"), gradients, strict=True):

        def value(changed: np.ndarray, name: str = name) -> float:
            return float((run(**{name: changed})[0] * a["dy"]).sum())

        # x̂ has a scale 1/σ below 4 and bends over the distance σ: f''' is below 6·4³·Σ|γ·dy|.
        curvature = 6 * 4**3 * float(abs(a["dy"]).sum())
        assert_gradient(value, a[name], gradient, curvature=curvature)
