"""Linear layer, batch norm and losses against the oracles, differences and their limits."""

from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import DataError, ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call, normal
from tests.oracles import dense, normalization
from tests.oracles.tolerance import assert_close, gamma


@pytest.mark.parametrize(
    ("n", "features", "units"), [(3, 5, 4), (1, 1, 1), (1, 7, 2), (0, 4, 3), (5, 1, 3), (33, 17, 9)]
)
def test_linear(ops: Ops, dtype: str, n: int, features: int, units: int) -> None:
    x, w, b = (
        normal((n, features), dtype),
        normal((units, features), dtype, 1),
        normal(units, dtype),
    )
    y = call(ops, "linear_forward", x, w, b)
    assert y.dtype == dtype
    magnitude = dense.linear(abs(x), abs(w), abs(b))
    assert_close(y, dense.linear(x, w, b), terms=features + 1, magnitude=magnitude, what="y")
    plain = call(ops, "linear_forward", x, w)
    assert_close(plain, dense.linear(x, w), terms=features, magnitude=magnitude, what="y, no bias")
    dy = normal((n, units), dtype, 2)
    results = call(ops, "linear_backward", dy, x, w)
    bounds = dense.linear_backward(abs(dy), abs(x), abs(w))
    counts = (units, n + 1, n + 1)
    for what, got, expected, terms, size in zip(
        ("dx", "dw", "db"), results, dense.linear_backward(dy, x, w), counts, bounds, strict=True
    ):
        assert got.dtype == dtype
        assert_close(got, expected, terms=terms, magnitude=size, what=what)


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


def softmax_terms(x: np.ndarray) -> int:
    """Roundings of one softmax value.

    x - max errs by u·|x - max|, which the exponential makes relative; then the sum, a division
    and some for the exponential itself.
    """
    x = x.astype(np.float64)
    spread = float((x.max(axis=-1) - x.min(axis=-1)).max(initial=0))
    return x.shape[-1] + 8 + 2 * int(np.ceil(spread))


LOGITS = {
    "normal": lambda dtype: normal((5, 7), dtype),
    "wide": lambda dtype: normal((4, 3), dtype) * 30,
    "one_class": lambda dtype: normal((3, 1), dtype),
    "one_sample": lambda dtype: normal((1, 10), dtype),
    "equal": lambda dtype: np.full((2, 4), 1e4, dtype),
}


def check_cross_entropy(ops: Ops, logits: np.ndarray, smoothing: float, reduction: str) -> None:
    """Loss and gradient."""
    labels = (np.arange(len(logits)) * 2 % logits.shape[1]).astype(np.int32)
    loss, dlogits = call(
        ops, "softmax_cross_entropy", logits, labels,
        label_smoothing=smoothing, reduction=reduction,
    )  # fmt: skip
    losses, grads = dense.cross_entropy(logits, labels, smoothing)
    count = len(logits) if reduction == "mean" else 1
    assert loss.shape == ()
    assert loss.dtype == dlogits.dtype == logits.dtype
    terms = softmax_terms(logits)
    # log Σ - x is a difference of up to |x - max| + log C; each sample adds 1 to the sum's path.
    wide = logits.astype(np.float64)
    size = (wide.max(axis=1) - wide.min(axis=1) + np.log(logits.shape[1]) + 1).sum() / count
    assert_close(loss, losses.sum() / count, terms=terms + len(logits), magnitude=size, what="loss")
    # p - t: both parts round.
    target = smoothing / logits.shape[1] + (1 - smoothing) * np.eye(logits.shape[1])[labels]
    assert_close(
        dlogits,
        grads / count,
        terms=terms + 4,
        magnitude=(dense.softmax_rows(logits) + target) / count,
        what="dlogits",
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
@pytest.mark.parametrize("kind", LOGITS)
def test_softmax_cross_entropy(
    ops: Ops, dtype: str, kind: str, smoothing: float, reduction: str
) -> None:
    check_cross_entropy(ops, LOGITS[kind](dtype).astype(dtype), smoothing, reduction)


def test_softmax_cross_entropy_of_huge_logits(ops: Ops, dtype: str) -> None:
    """No overflow, and a loss as large as the distance."""
    logits = np.asarray([[1e30, -1e30, 0], [-3e4, 3e4, 0]], dtype)
    labels = np.asarray([0, 0], np.int32)
    loss, dlogits = call(ops, "softmax_cross_entropy", logits, labels, reduction="sum")
    assert loss == np.asarray(6e4, dtype)
    np.testing.assert_array_equal(dlogits, [[0, 0, 0], [-1, 1, 0]])


def test_softmax_cross_entropy_of_an_empty_batch(ops: Ops, dtype: str) -> None:
    for reduction in ("mean", "sum"):
        loss, dlogits = call(
            ops, "softmax_cross_entropy", np.zeros((0, 4), dtype), np.zeros(0, np.int32),
            reduction=reduction,
        )  # fmt: skip
        assert loss.shape == ()
        assert loss == 0
        assert dlogits.shape == (0, 4)
        assert loss.dtype == dlogits.dtype == dtype


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1])
def test_a_label_outside_the_classes(dtype: str, label: int) -> None:
    """The host reads the labels that lie on it; elsewhere such a label makes NaN."""
    ops = gpucnn.get_ops("cpu")
    labels = np.asarray([0, label], np.int32)
    with pytest.raises(DataError, match=rf"labels\[1\] is {label}.*3 classes"):
        call(ops, "softmax_cross_entropy", normal((2, 3), dtype), labels)


def test_softmax_cross_entropy_gradient_by_differences(ops: Ops) -> None:
    logits, labels = normal((3, 4), "float64"), np.asarray([2, 0, 3], np.int32)
    for options in ({}, {"label_smoothing": 0.2, "reduction": "sum"}):
        _, dlogits = call(ops, "softmax_cross_entropy", logits, labels, **options)

        def value(x: np.ndarray, options: dict[str, Any] = options) -> float:
            return float(call(ops, "softmax_cross_entropy", x, labels, **options)[0])

        assert_gradient(value, logits, dlogits)


def check_squared_error(ops: Ops, shape: tuple[int, ...], dtype: str, reduction: str) -> None:
    """Loss and gradient."""
    y, target = normal(shape, dtype), normal(shape, dtype, 1)
    loss, dy = call(ops, "mean_squared_error", y, target, reduction=reduction)
    losses, grads = dense.squared_error(y, target)
    count = shape[0] if reduction == "mean" else 1
    assert loss.shape == ()
    assert loss.dtype == dy.dtype == dtype
    assert_close(loss, losses.sum() / count, terms=y.size + 4, what="loss")
    assert_close(dy, grads / count, terms=3, what="dy")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 3, 4, 2), (1, 1)])
def test_mean_squared_error(ops: Ops, dtype: str, shape: tuple[int, ...], reduction: str) -> None:
    check_squared_error(ops, shape, dtype, reduction)


def test_mean_squared_error_of_an_empty_batch(ops: Ops, dtype: str) -> None:
    for reduction in ("mean", "sum"):
        empty = np.zeros((0, 4), dtype)
        loss, dy = call(ops, "mean_squared_error", empty, empty, reduction=reduction)
        assert loss.shape == ()
        assert loss == 0
        assert dy.shape == (0, 4)
        assert loss.dtype == dy.dtype == dtype


def test_losses_of_mean_are_those_of_sum_over_n(ops: Ops, dtype: str) -> None:
    """SEEDS C4: division happens once, here."""
    logits, labels = normal((4, 3), dtype), np.asarray([0, 1, 2, 0], np.int32)
    for method, args in (
        ("softmax_cross_entropy", (logits, labels)),
        ("mean_squared_error", (logits, normal((4, 3), dtype, 1))),
    ):
        mean, sum_ = (call(ops, method, *args, reduction=how) for how in ("mean", "sum"))
        for a, b in zip(mean, sum_, strict=True):
            # Dividing by 4 is exact.
            np.testing.assert_array_equal(a * 4, b, err_msg=method)
