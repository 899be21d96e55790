"""Linear layer and losses against the oracles, differences and their limits."""

from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import DataError
from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call, normal
from tests.oracles import dense
from tests.oracles.tolerance import assert_close


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
