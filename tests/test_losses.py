"""The losses as objects: what they compute is the ops' (tests/ops); here their options count."""

import numpy as np
import pytest

from gpucnn.errors import ConfigError, DeviceError, GpucnnError, ShapeError
from gpucnn.losses import LOSSES, MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops.base import Ops
from tests.ops.harness import assert_gradient
from tests.oracles.tolerance import assert_close

rng = np.random.default_rng
LABELS = np.array([2, 0, 1, 2], "int32")


def target_for(ops: Ops, kind: str, classes: int = 3, dtype: str = "float64") -> object:
    one_hot = np.eye(classes)[LABELS].astype(dtype)
    return ops.asarray(LABELS if LOSSES[kind].target == "labels" else one_hot)


def test_targets() -> None:
    assert {kind: loss.target for kind, loss in LOSSES.items()} == {
        "softmax_cross_entropy": "labels",
        "mean_squared_error": "one_hot",
    }


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_is_the_finite_difference(ops: Ops, kind: str, reduction: str) -> None:
    loss, target = LOSSES[kind](reduction=reduction), target_for(ops, kind)
    y = rng(0).standard_normal((4, 3))

    def value(at: np.ndarray) -> float:
        return float(ops.to_numpy(loss(ops, ops.asarray(at), target)[0]))

    _, dy = loss(ops, ops.asarray(y), target)
    # Third derivatives of log-sum-exp and of the square are below 1.
    assert_gradient(value, y, ops.to_numpy(dy), curvature=1)


@pytest.mark.parametrize("kind", LOSSES)
def test_mean_is_sum_over_n(ops: Ops, kind: str, dtype: str) -> None:
    """SEEDS C4: divided once, in the loss."""
    target = target_for(ops, kind, dtype=dtype)
    y = ops.asarray(rng(0).standard_normal((4, 3)).astype(dtype))
    mean, dmean = LOSSES[kind](reduction="mean")(ops, y, target)
    total, dtotal = LOSSES[kind](reduction="sum")(ops, y, target)
    assert mean.shape == total.shape == ()
    assert mean.dtype == dmean.dtype == dtype
    assert_close(ops.to_numpy(mean) * 4, ops.to_numpy(total), terms=8)
    assert_close(ops.to_numpy(dmean) * 4, ops.to_numpy(dtotal), terms=8, magnitude=1.0)


def test_golden_cross_entropy(ops: Ops) -> None:
    """SEEDS A19."""
    loss, dy = SoftmaxCrossEntropy()(
        ops, ops.asarray([[1.0, 2.0, 3.0]], "float64"), ops.asarray([2], "int32")
    )
    # The seed gives eight decimals.
    assert abs(float(ops.to_numpy(loss)) - 0.40760596) < 1e-8
    expected = np.array([[0.09003057, 0.24472847, -0.33475904]])
    assert abs(ops.to_numpy(dy) - expected).max() < 1e-8


def test_mean_squared_error_has_the_half(ops: Ops) -> None:
    loss, dy = MeanSquaredError()(
        ops, ops.asarray([[1.0, 3.0], [0.0, 0.0]]), ops.asarray([[0.0, 1.0], [0.0, 2.0]])
    )
    assert float(ops.to_numpy(loss)) == (0.5 * (1 + 4) + 0.5 * 4) / 2
    np.testing.assert_array_equal(ops.to_numpy(dy), [[0.5, 1.0], [0.0, -1.0]])


def test_label_smoothing_is_passed_on(ops: Ops) -> None:
    y, labels = ops.asarray([[0.0, 0.0]]), ops.asarray([0], "int32")
    _, dy = SoftmaxCrossEntropy(label_smoothing=0.5)(ops, y, labels)
    np.testing.assert_array_equal(ops.to_numpy(dy), [[0.5 - 0.75, 0.5 - 0.25]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "none"}, "reduction must be one of 'mean', 'sum', got 'none'"),
        ({"label_smoothing": 1.5}, "label_smoothing must be >= 0 and <= 1, got 1.5"),
        ({"label_smoothing": "0.1"}, "label_smoothing must be a number"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SoftmaxCrossEntropy(**options)


@pytest.mark.parametrize(
    ("kind", "y", "target", "error"),
    [
        ("softmax_cross_entropy", np.zeros((2, 3)), np.zeros(3, "int32"), ShapeError),
        ("softmax_cross_entropy", np.zeros((2, 3)), np.zeros(2, "int64"), DeviceError),
        ("softmax_cross_entropy", np.zeros((2, 3, 1)), np.zeros(2, "int32"), ShapeError),
        ("mean_squared_error", np.zeros((2, 3)), np.zeros((2, 2)), ShapeError),
        ("mean_squared_error", np.zeros((2, 3)), np.zeros((2, 3), "float32"), DeviceError),
    ],
)
def test_arrays_that_do_not_fit(
    ops: Ops, kind: str, y: np.ndarray, target: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error):
        LOSSES[kind]()(ops, ops.asarray(y), ops.asarray(target))


def test_a_label_outside_of_the_classes(ops: Ops) -> None:
    """An error where the host can look, else a NaN that training stops at."""
    arrays = ops.asarray(np.zeros((2, 3))), ops.asarray(np.array([0, 3], "int32"))
    if ops.name == "cpu":
        with pytest.raises(GpucnnError):
            SoftmaxCrossEntropy()(ops, *arrays)
    else:
        loss, _ = SoftmaxCrossEntropy()(ops, *arrays)
        assert np.isnan(ops.to_numpy(loss))
