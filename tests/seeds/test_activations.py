"""Activations and losses: the sources' numbers on the reference and on every device."""

import warnings

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient, call
from tests.seeds.examples import equal, integers


@pytest.mark.seed("A17", "S3:5.1", "S3:5.2", "S3:5.3", "E29")
def test_relu(ops: Ops, dtype: str) -> None:
    """S3 §5: the mask comes from the input, and ReLU'(0) = 0."""
    x = np.asarray([-1, 0, 2], dtype)
    equal(call(ops, "relu_forward", x), [0, 0, 2])
    equal(call(ops, "relu_backward", np.ones(3, dtype), x), [0, 0, 1])


@pytest.mark.seed("A17")
def test_relu_of_minus_zero_and_nan(ops: Ops, dtype: str) -> None:
    """-0.0 is not greater than 0 and becomes 0; NaN passes, forward and backward."""
    x = np.asarray([-0.0, np.nan], dtype)
    y = call(ops, "relu_forward", x)
    assert y[0] == 0
    assert not np.signbit(y[0])
    assert np.isnan(y[1])
    equal(call(ops, "relu_backward", np.asarray([5, 7], dtype), x), [0, 7])


@pytest.mark.seed("A18")
def test_sigmoid(ops: Ops, dtype: str) -> None:
    """σ'(0) = 1/4 is the largest; far out it vanishes, without overflow."""
    x = np.asarray([0, 1000, -1000], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = call(ops, "sigmoid_forward", x)
    equal(y, [0.5, 1, 0])
    equal(call(ops, "sigmoid_backward", np.ones(3, dtype), y), [0.25, 0, 0])
    many = call(ops, "sigmoid_forward", np.linspace(-9, 9, 181).astype(dtype))
    slopes = call(ops, "sigmoid_backward", np.ones(181, dtype), many)
    assert slopes.argmax() == 90
    assert (np.diff(slopes[:91]) > 0).all()
    assert slopes[0] < 2e-4


LOGITS = [[1, 2, 3]]
PROBABILITIES = [[0.09003057, 0.24472847, 0.66524096]]


@pytest.mark.seed("A19", "S2:BP1", "E14")
def test_softmax_and_cross_entropy(ops: Ops, dtype: str) -> None:
    """δ = a - Y; it sums to 0."""
    logits, label = np.asarray(LOGITS, dtype), np.asarray([2], np.int32)
    loss, delta = call(ops, "softmax_cross_entropy", logits, label)
    # The golden numbers have 8 digits.
    digits = 5e-9 + 16 * float(np.finfo(dtype).eps)
    assert abs(float(loss) - 0.40760596) < digits
    assert abs(delta - [[0.09003057, 0.24472847, -0.33475904]]).max() < digits
    assert abs(delta.sum()) < 16 * np.finfo(dtype).eps
    assert abs(call(ops, "softmax_forward", logits) - PROBABILITIES).max() < digits


@pytest.mark.seed("A19", "E14")
def test_the_full_jacobian_gives_the_same_delta(ops: Ops, dtype: str) -> None:
    """-1/a at the label, through softmax's own gradient; BP1's elementwise σ' would not do."""
    logits, label = np.asarray(LOGITS, dtype), np.asarray([2], np.int32)
    a = call(ops, "softmax_forward", logits)
    slope = np.zeros_like(a)
    slope[0, 2] = -1 / a[0, 2]
    delta = call(ops, "softmax_cross_entropy", logits, label)[1]
    eps = np.finfo(dtype).eps
    assert abs(call(ops, "softmax_backward", slope, a) - delta).max() < 16 * eps


@pytest.mark.seed("A19")
def test_large_logits_do_not_overflow(ops: Ops, dtype: str) -> None:
    """The maximum is subtracted first."""
    logits = np.asarray([[1000, 0], [-1000, -2000]], dtype)
    equal(call(ops, "softmax_forward", logits), [[1, 0], [1, 0]])
    loss, delta = call(ops, "softmax_cross_entropy", logits, np.zeros(2, np.int32))
    assert loss == 0
    equal(delta, np.zeros((2, 2)))


@pytest.mark.seed("A19", "A20", "C4", "E4")
def test_the_gradient_is_divided_once_in_the_loss(ops: Ops, dtype: str) -> None:
    """Of 4 samples: mean · 4 = sum, exactly, for both losses."""
    logits, labels = integers((4, 3), dtype), np.asarray([0, 2, 1, 1], np.int32)
    for loss, target in (
        ("softmax_cross_entropy", labels),
        ("mean_squared_error", integers((4, 3), dtype, 1)),
    ):
        mean = call(ops, loss, logits, target, reduction="mean")
        total = call(ops, loss, logits, target, reduction="sum")
        equal(mean[1] * 4, total[1])
        assert abs(mean[0] * 4 - total[0]) <= 8 * np.finfo(dtype).eps * total[0]


@pytest.mark.seed("A20")
def test_half_the_squared_error(ops: Ops, dtype: str) -> None:
    """½·Σ(y - t)² a sample, so that its gradient is y - t."""
    y, t = np.asarray([[1, 2], [3, 5]], dtype), np.asarray([[0, 4], [3, 2]], dtype)
    loss, delta = call(ops, "mean_squared_error", y, t, reduction="sum")
    assert loss == (1 + 4 + 0 + 9) / 2
    equal(delta, y - t)
    loss, delta = call(ops, "mean_squared_error", y, t)
    assert loss == (1 + 4 + 0 + 9) / 4
    equal(delta, (y - t) / 2)


@pytest.mark.seed("A19", "A20")
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
def test_the_losses_gradients_are_the_finite_differences(ops: Ops, loss: str) -> None:
    y = np.random.default_rng(0).uniform(-1, 1, (3, 4))
    target = (
        np.asarray([3, 0, 1], np.int32)
        if loss == "softmax_cross_entropy"
        else np.random.default_rng(1).uniform(-1, 1, (3, 4))
    )
    assert_gradient(
        lambda at: float(call(ops, loss, at, target)[0]), y, call(ops, loss, y, target)[1]
    )
