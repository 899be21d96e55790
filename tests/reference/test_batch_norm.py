"""Batch normalisation against differences, PyTorch and what it promises."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.reference import batch_norm as bn
from tests.ops.harness import assert_gradient, normal
from tests.oracles.tolerance import assert_close

SHAPE = (2, 3, 2, 3)
X, DY = normal(SHAPE, "float64"), np.random.default_rng(1).uniform(-1, 1, SHAPE)
GAMMA, BETA = np.array([1.5, -0.5, 2.0]), np.array([0.5, -1.0, 0.0])


def weighted(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, statistics: object) -> float:
    return float((DY * bn.batch_norm2d(x, gamma, beta, statistics or bn.batch_statistics(x))).sum())


@pytest.mark.seed("A24")
@pytest.mark.parametrize("train", [True, False])
def test_gradients_by_differences(train: bool) -> None:
    """In training the statistics move with x. Third derivatives, 12 values a channel: below 40."""
    given = bn.Statistics(np.array([0.1, 0.2, -0.3]), np.array([1.0, 2.0, 0.5]))
    used = bn.batch_statistics(X) if train else given
    dx, dgamma, dbeta = bn.batch_norm2d_backward(DY, X, GAMMA, used, train=train)
    fixed = None if train else given
    assert_gradient(lambda x: weighted(x, GAMMA, BETA, fixed), X, dx, curvature=40)
    assert_gradient(lambda g: weighted(X, g, BETA, fixed), GAMMA, dgamma)
    assert_gradient(lambda b: weighted(X, GAMMA, b, fixed), BETA, dbeta)


@pytest.mark.seed("A24")
def test_channels_come_out_normal() -> None:
    """Mean β and variance γ²·σ²/(σ² + ε), the biased one, of each channel."""
    statistics = bn.batch_statistics(7 * X + 3)
    y = bn.batch_norm2d(7 * X + 3, GAMMA, BETA, statistics)
    variance = GAMMA**2 * statistics.variance / (statistics.variance + 1e-5)
    assert_close(y.mean(axis=(0, 2, 3)), BETA, terms=64, magnitude=np.full(3, 4.0))
    assert_close(y.var(axis=(0, 2, 3)), variance, terms=64, magnitude=np.full(3, 4.0))


@pytest.mark.seed("A24")
def test_pytorch_agrees() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    layer = torch.nn.BatchNorm2d(3, momentum=0.3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(GAMMA))
        layer.bias.copy_(torch.tensor(BETA))
    x = torch.tensor(X, requires_grad=True)
    expected = layer(x)
    expected.backward(torch.tensor(DY))
    batch = bn.batch_statistics(X)
    size = np.full(SHAPE, 8.0)  # of the numbers that the sums add up
    assert_close(
        bn.batch_norm2d(X, GAMMA, BETA, batch), expected.detach().numpy(), terms=64, magnitude=size
    )
    dx, dgamma, dbeta = bn.batch_norm2d_backward(DY, X, GAMMA, batch)
    assert_close(dx, x.grad.numpy(), terms=64, magnitude=size)
    assert_close(dgamma, layer.weight.grad.numpy(), terms=64, magnitude=size[0, :, 0, 0])
    assert_close(dbeta, layer.bias.grad.numpy(), terms=64, magnitude=size[0, :, 0, 0])
    moved = bn.running_statistics(bn.Statistics(np.zeros(3), np.ones(3)), batch, 12, 0.3)
    assert_close(moved.mean, layer.running_mean.numpy(), terms=64, magnitude=np.ones(3))
    assert_close(moved.variance, layer.running_var.numpy(), terms=64)


def test_bad_shapes() -> None:
    with pytest.raises(ShapeError, match="one value has no variance"):
        bn.batch_statistics(np.zeros((1, 3, 1, 1)))
    with pytest.raises(ShapeError, match="dy must have x's shape"):
        bn.batch_norm2d_backward(DY[:1], X, GAMMA, bn.batch_statistics(X))
