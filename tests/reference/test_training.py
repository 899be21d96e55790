"""S0's training loop: its gradients by differences, and its rule of when to stop."""

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference.losses import cross_entropy
from gpucnn.reference.training import (
    ACTIVATIONS,
    Convolution,
    FullyConnected,
    Layer,
    Parameters,
    Pooling,
    initialize,
    train,
)
from tests.ops.harness import DIFFERENCE_STEP, numeric_gradient

RNG = np.random.default_rng(8)
X, LABELS = RNG.standard_normal((4, 1, 6, 6)), [0, 2, 1, 2]
OUTPUT = FullyConnected(3, activation="identity")
# Each type of layer above each other one that S0 has: E19's rule goes by the upper of the two.
NETWORKS: dict[str, list[Layer]] = {
    "conv_conv_pool_full": [
        Convolution(2, 3, activation="tanh"),
        Convolution(2, 3, padding=1, activation="sigmoid"),
        Pooling(2, "average"),
        FullyConnected(4, activation="tanh"),
        OUTPUT,
    ],
    "pool_conv_full": [
        Pooling(2, "max"),
        Convolution(3, 2, activation="tanh"),
        OUTPUT,
    ],
    "strided": [Convolution(2, 2, stride=2, activation="tanh"), OUTPUT],
    "full_alone": [OUTPUT],
}
LENET: list[Layer] = [Convolution(2, 3, padding=1), Pooling(2), FullyConnected(5), OUTPUT]


def summed_loss(layers: list[Layer], parameters: list[Parameters | None]) -> float:
    a = X
    for layer, p in zip(layers, parameters, strict=True):
        a = ACTIVATIONS[layer.activation][0](layer.forward(a, p))
    return cross_entropy(a, LABELS, "sum")[0]


def largest_change(before: list[Parameters | None], after: list[Parameters | None]) -> float:
    return max(
        float(abs(new - old).max())
        for p, q in zip(before, after, strict=True)
        if p is not None and q is not None
        for old, new in zip(p, q, strict=True)
    )


def one_iteration(layers: list[Layer], alpha: float, epsilon: float) -> str:
    return train(layers, X, LABELS, alpha=alpha, max_iterations=1, epsilon=epsilon)[1]


@pytest.mark.seed("A21", "A22", "A26", "E19", "S0:6")
@pytest.mark.parametrize("name", NETWORKS)
def test_an_iteration_descends_the_sum_of_the_losses(name: str) -> None:
    """W - W' is α times the gradient of Σ loss, for every W and b."""
    layers = NETWORKS[name]
    start = initialize(layers, X.shape[1:], seed=1)
    alpha = 2.0**-3
    after, _ = train(
        layers, X, LABELS, alpha=alpha, max_iterations=1, epsilon=1e-9, parameters=start
    )
    for number, p in enumerate(start):
        if p is None:
            assert after[number] is None
            continue
        for which, old in enumerate(p):

            def loss(value: np.ndarray, number: int = number, which: int = which) -> float:
                changed = list(start)
                changed[number] = changed[number]._replace(**{"wb"[which]: value})
                return summed_loss(layers, changed)

            gradient = (old - after[number][which]) / alpha
            # Truncation, third derivatives of these losses being below 100, and rounding as in
            # assert_gradient; the division by α is exact, the subtraction rounds by eps·|W|.
            eps = np.finfo(np.float64).eps
            allowed = DIFFERENCE_STEP**2 * 100 / 6 + 64 * eps * 16 / DIFFERENCE_STEP
            allowed += 4 * eps * abs(old).max() / alpha
            assert abs(gradient - numeric_gradient(loss, old)).max() <= allowed, (number, which)


@pytest.mark.seed("A21", "C4")
def test_the_sum_is_not_divided_by_m() -> None:
    """S0: twice the same samples move the parameters twice as far, exactly."""
    start = initialize(LENET, X.shape[1:], seed=2)
    kw = {"max_iterations": 1, "epsilon": 1e-9, "parameters": start}
    once, _ = train(LENET, X[:1], LABELS[:1], alpha=0.5, **kw)
    twice, _ = train(LENET, X[[0, 0]], [LABELS[0]] * 2, alpha=0.25, **kw)
    for p, q in zip(once, twice, strict=True):
        if p is not None and q is not None:
            np.testing.assert_array_equal(p.w, q.w)
            np.testing.assert_array_equal(p.b, q.b)


@pytest.mark.seed("A21")
def test_it_stops_where_every_change_is_below_epsilon() -> None:
    """Strictly below; of the applied update, so a large gradient under a small α stops too."""
    start = initialize(LENET, X.shape[1:], seed=0)
    after, _ = train(LENET, X, LABELS, alpha=0.1, max_iterations=1, epsilon=1e-9)
    change = largest_change(start, after)
    assert one_iteration(LENET, 0.1, change) == "max_iterations"
    assert one_iteration(LENET, 0.1, np.nextafter(change, 1)) == "epsilon"
    assert one_iteration(LENET, 1e-9, 1e-6) == "epsilon"
    assert change > 1e-2
    kw = {"max_iterations": 50, "epsilon": 1e-12}
    still, reason = train(LENET, X, LABELS, alpha=0, **kw)
    assert (reason, largest_change(start, still)) == ("epsilon", 0)
    assert train(LENET, X, LABELS, alpha=0.1, **kw)[1] == "max_iterations"
    assert train(LENET, X, LABELS, alpha=0.1, max_iterations=0, epsilon=1)[1] == "max_iterations"


@pytest.mark.seed("A21")
def test_training_lowers_the_loss_until_it_stops_by_epsilon() -> None:
    start = initialize(LENET, X.shape[1:], seed=0)
    after, reason = train(LENET, X, LABELS, alpha=0.1, max_iterations=300, epsilon=2e-2)
    assert reason == "epsilon"
    assert summed_loss(LENET, after) < summed_loss(LENET, start) / 4


@pytest.mark.seed("A21", "S0:6")
def test_the_first_parameters_are_random() -> None:
    first, again, other = (initialize(LENET, (1, 6, 6), seed) for seed in (0, 0, 1))
    assert largest_change(first, again) == 0
    assert largest_change(first, other) > 0
    shapes = [None if p is None else (p.w.shape, p.b.shape) for p in first]
    assert shapes == [((2, 1, 3, 3), (2,)), None, ((5, 18), (5,)), ((3, 5), (3,))]


def test_bad_arguments() -> None:
    kw = {"alpha": 0.1, "max_iterations": 1, "epsilon": 0.1}
    for layers in ([], [Pooling(2)], [FullyConnected(3)]):
        with pytest.raises(ConfigError, match=r"last layer must be FullyConnected\(.*'identity'"):
            train(layers, X, LABELS, **kw)
    with pytest.raises(ShapeError, match=r"got \(4, 1, 6, 6\) and 2 labels"):
        train(LENET, X, LABELS[:2], **kw)
    with pytest.raises(ConfigError, match="criterion must be 'max' or 'average', got 'median'"):
        Pooling(2, "median")
