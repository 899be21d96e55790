"""Losses against the golden numbers, the Jacobian's route, differences and PyTorch."""

import numpy as np
import pytest

from gpucnn.errors import ConfigError, DataError, ShapeError
from gpucnn.reference import losses
from gpucnn.reference.activations import softmax
from tests.ops.harness import assert_gradient, normal
from tests.oracles.tolerance import assert_close


@pytest.mark.seed("A19", "S0:6")
def test_cross_entropy_of_the_sources() -> None:
    loss, delta = losses.cross_entropy([[1, 2, 3]], [2])
    assert abs(loss - 0.40760596) < 5e-9  # 8 digits are given
    assert abs(delta - [[0.09003057, 0.24472847, -0.33475904]]).max() < 5e-9


@pytest.mark.seed("A19", "S2:BP1", "E14")
def test_the_jacobian_gives_probabilities_minus_labels() -> None:
    """Jᵀ(-Y/a), S2's BP1 with the Jacobian in place of σ', is a - Y."""
    logits = normal((5, 4), "float64")
    labels = [0, 3, 1, 2, 3]
    _, delta = losses.cross_entropy(logits, labels, "sum")
    for row, label, expected in zip(logits, labels, delta, strict=True):
        got = losses.cross_entropy_delta_by_jacobian(softmax(row), label)
        # a_i(1/a_label)(...): four roundings, of numbers up to 1.
        assert_close(got, expected, terms=24, magnitude=np.ones(4))
    assert abs(delta.sum(axis=1)).max() <= 8 * np.finfo(np.float64).eps


@pytest.mark.seed("A19", "C4")
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_cross_entropy_by_differences(reduction: str) -> None:
    """Third derivatives of log Σ e^z are below 1."""
    logits, labels = normal((3, 4), "float64"), [1, 0, 3]
    assert_gradient(
        lambda z: losses.cross_entropy(z, labels, reduction)[0],
        logits,
        losses.cross_entropy(logits, labels, reduction)[1],
    )


@pytest.mark.seed("A20", "C4")
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_squared_error_by_differences(reduction: str) -> None:
    y, target = normal((3, 2, 2), "float64"), normal((3, 2, 2), "float64", 1)
    assert_gradient(
        lambda y: losses.mean_squared_error(y, target, reduction)[0],
        y,
        losses.mean_squared_error(y, target, reduction)[1],
    )
    assert losses.mean_squared_error([[3.0, 1]], [[1.0, 1]])[0] == 2  # ½·2²


@pytest.mark.seed("C4")
def test_the_mean_times_n_is_the_sum() -> None:
    """4 samples: the division is exact."""
    logits, labels = normal((4, 3), "float64"), [0, 1, 2, 0]
    for loss, target in ((losses.cross_entropy, labels), (losses.mean_squared_error, 0 * logits)):
        mean, total = loss(logits, target, "mean"), loss(logits, target, "sum")
        assert mean[0] * 4 == total[0]
        np.testing.assert_array_equal(mean[1] * 4, total[1])


def test_pytorch_agrees() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    logits, labels = 5 * normal((6, 4), "float64"), np.array([0, 1, 2, 3, 0, 1])
    z = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(labels))
    expected.backward()
    loss, delta = losses.cross_entropy(logits, labels)
    assert_close(np.asarray(loss), expected.item(), terms=32)
    assert_close(delta, z.grad.numpy(), terms=32, magnitude=np.ones(delta.shape))


def test_far_out_and_empty() -> None:
    loss, delta = losses.cross_entropy([[1e5, 0, -1e5]], [2])
    assert loss == 2e5
    np.testing.assert_array_equal(delta, [[1, 0, -1]])
    assert losses.cross_entropy(np.zeros((0, 3)), [])[0] == 0
    assert losses.mean_squared_error(np.zeros((0, 3)), np.zeros((0, 3)))[0] == 0


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match=r"reduction must be one of .*'max'"):
        losses.cross_entropy([[1.0, 2]], [0], "max")
    with pytest.raises(DataError, match=r"labels must be from 0 to 1, got \[2\]"):
        losses.cross_entropy([[1.0, 2]], [2])
    with pytest.raises(ShapeError, match=r"labels \(N,\), got \(1, 2\) and \(2,\)"):
        losses.cross_entropy([[1.0, 2]], [0, 1])
    with pytest.raises(ShapeError, match="y and target must be alike"):
        losses.mean_squared_error(np.zeros((2, 2)), np.zeros((2, 3)))
