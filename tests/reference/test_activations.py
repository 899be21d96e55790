"""Activations against differences, their limits, and PyTorch's softmax."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.reference import activations as act
from gpucnn.reference.chain_rule import through
from tests.ops.harness import assert_gradient, normal
from tests.oracles.tolerance import assert_close


@pytest.mark.seed("A17", "S3:5.1", "S3:5.2", "S3:5.3")
def test_relu() -> None:
    np.testing.assert_array_equal(act.relu([-1, 0, 2]), [0, 0, 2])
    np.testing.assert_array_equal(act.relu_backward([7, 7, 7], [-1, 0, 2]), [0, 0, 7])
    assert not np.signbit(act.relu([-0.0])[0])
    assert np.isnan(act.relu([np.nan])[0])
    np.testing.assert_array_equal(act.relu_backward([7], [np.nan]), [7])


@pytest.mark.seed("A18")
def test_sigmoid_far_out_and_at_0() -> None:
    """No overflow, which would be an OverflowError here; the slope is largest at 0, with 1/4."""
    y = act.sigmoid([-1000, 0, 1000])
    np.testing.assert_array_equal(y, [0, 0.5, 1])
    np.testing.assert_array_equal(act.sigmoid_backward(np.ones(3), y), [0, 0.25, 0])
    slopes = act.sigmoid_backward(np.ones(81), act.sigmoid(np.linspace(-8, 8, 81)))
    assert slopes.argmax() == 40
    np.testing.assert_array_equal(act.tanh([-1000, 0, 1000]), [-1, 0, 1])


@pytest.mark.seed("A18")
@pytest.mark.parametrize(
    ("forward", "backward"),
    [(act.sigmoid, act.sigmoid_backward), (act.tanh, act.tanh_backward)],
    ids=["sigmoid", "tanh"],
)
def test_slopes_by_differences(forward, backward) -> None:  # type: ignore[no-untyped-def]
    """Third derivatives of both are at most 2."""
    x, dy = normal((3, 4), "float64"), np.random.default_rng(1).uniform(-1, 1, (3, 4))
    assert_gradient(
        lambda x: float((dy * forward(x)).sum()), x, backward(dy, forward(x)), curvature=2
    )


@pytest.mark.seed("A19", "E14")
def test_softmax() -> None:
    p = act.softmax([1, 2, 3])
    assert abs(p - [0.09003057, 0.24472847, 0.66524096]).max() < 5e-9  # 8 digits are given
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    x = normal((2, 3, 5), "float64")
    expected = torch.softmax(torch.tensor(x), dim=-1).numpy()
    assert_close(act.softmax(x), expected, terms=24)
    np.testing.assert_array_equal(act.softmax([1e4, 0, -1e4]), [1, 0, 0])


@pytest.mark.seed("E14")
def test_softmax_has_a_full_jacobian() -> None:
    """Jᵀδ by matrix and by differences; its rows add up to 0, since the outputs add up to 1."""
    x, dy = normal((2, 4), "float64"), np.random.default_rng(1).uniform(-1, 1, (2, 4))
    y = act.softmax(x)
    dx = act.softmax_backward(dy, y)
    assert_gradient(lambda x: float((dy * act.softmax(x)).sum()), x, dx, curvature=4)
    for row in (0, 1):
        jacobian = act.softmax_jacobian(y[row])
        assert_close(through(dy[row], jacobian), dx[row], terms=8, magnitude=abs(dy[row]).sum())
        assert abs(jacobian.sum(axis=1)).max() <= 8 * np.finfo(np.float64).eps
        assert (jacobian - np.diag(np.diag(jacobian)) < 0).sum() == 12


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"dy must have shape \(3,\), got \(2,\)"):
        act.relu_backward([1, 2], [1, 2, 3])
    with pytest.raises(ShapeError, match="y must be one vector"):
        act.softmax_jacobian(np.zeros((2, 2)))
