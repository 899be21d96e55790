"""E18 to E21: what S0's pictures and its summary get wrong or leave out, written out."""

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.errors import ShapeError
from gpucnn.losses import LOSSES
from gpucnn.ops.base import Ops
from gpucnn.reference import training
from gpucnn.reference.activations import softmax, softmax_backward
from gpucnn.reference.convolution import (
    conv2d_backward_input,
    conv2d_backward_weight,
    convolve,
    correlate,
    full_correlation,
    rot180,
)
from gpucnn.reference.dense import linear_backward
from gpucnn.reference.losses import cross_entropy, mean_squared_error
from gpucnn.reference.pooling import upsample
from gpucnn.reference.training import Convolution, FullyConnected, Parameters, Pooling
from tests.layers.harness import run
from tests.ops.harness import assert_gradient, call, numeric_gradient
from tests.seeds.examples import equal, grid, integers


def ring(delta: np.ndarray) -> np.ndarray:
    """S0's restored matrix: δ in a ring of zeros."""
    return np.pad(delta, 1)


@pytest.mark.seed("E18", "S0:3")
def test_e18_each_delta_gets_a_block_of_its_own(ops: Ops) -> None:
    small, delta = np.asarray([[2.0, 8], [4, 6]]), grid(3, 3, 1, "float64")
    assert ring(small).shape == upsample(small, 2).shape == (4, 4)
    assert ring(delta[0, 0]).shape == (5, 5)

    def loss(x: np.ndarray) -> float:
        blocks = x.reshape(3, 2, 3, 2).sum(axis=(1, 3))
        return float((blocks * delta[0, 0]).sum())

    true = numeric_gradient(loss, grid(6, 6, 0, "float64"))
    equal(upsample(delta, 2), true[0, 0])
    # The mean is a quarter of the sum.
    shape = (1, 1, 6, 6)
    equal(4 * call(ops, "avg_pool2d_backward", delta, shape, kernel_size=2), true)
    # Even where the ring's size is right, it has no δ for the rows and columns at the edge.
    assert not ring(small)[0].any()
    assert upsample(small, 2)[0].all()


NET = (Convolution(2, 2, activation="tanh"), Convolution(1, 2), Pooling(2, "average"),
       FullyConnected(3, activation="identity"))  # fmt: skip


@pytest.mark.seed("E19", "S0:6")
def test_e19_the_layer_above_chooses_the_rule() -> None:
    """By its own type a pool below a fully connected layer would upsample that layer's δ."""
    dense, delta = FullyConnected(3), np.asarray([[1.0, 2, 3]])
    p = Parameters(integers((3, 4), "float64"), np.zeros(3))
    pooled = np.ones((1, 1, 2, 2))
    seed = upsample(delta, 2)
    assert seed.shape == (2, 6)
    below = dense.delta_below(delta, pooled, p)
    true = numeric_gradient(lambda a: float((a.ravel() @ p.w.T * delta[0]).sum()), pooled)
    equal(below, true)
    # A convolution below a fully connected layer would turn that layer's W and convolve with it.
    seed = full_correlation(delta, rot180(p.w))
    assert seed.shape == (3, 6)
    assert seed.shape != pooled.shape[2:]
    # One below a pool would need the pool's W.
    assert not hasattr(Pooling(2), "w_shape")


@pytest.mark.seed("E19", "S0:6")
def test_e19_so_that_a_whole_network_has_the_right_gradients(ops: Ops) -> None:
    """Convolution, convolution, pool, fully connected: each rule of S0 once, by differences."""
    x, label = integers((1, 1, 6, 6), "float64") / 8, 1
    start = training.initialize(NET, x.shape[1:], seed=0)

    def loss(w: np.ndarray) -> float:
        a = x
        for layer, p in zip(NET, [Parameters(w, start[0].b), *start[1:]], strict=True):
            a = training.ACTIVATIONS[layer.activation][0](layer.forward(a, p))
        return float(np.log(np.exp(a[0]).sum()) - a[0, label])

    after, _ = training.train(
        NET, x, [label], alpha=1.0, max_iterations=1, epsilon=0.0, parameters=start
    )
    w = start[0].w
    assert abs(w - after[0].w).min() > 1e-3
    # Sums of some dozens of terms of at most about 1, through tanh: third derivatives below 100.
    assert_gradient(loss, w, w - after[0].w, curvature=100)
    model = gl.Sequential(
        [gl.Conv2d(2, 2), gl.Tanh(), gl.Conv2d(1, 2), gl.Relu(), gl.AvgPool2d(2), gl.Flatten(),
         gl.Linear(3)]
    )  # fmt: skip
    model.build(x.shape[1:], ops, 0, dtype="float64")
    for layer, p in zip((model.layers[i] for i in (0, 2, 6)), (start[i] for i in (0, 1, 3)),
                        strict=True):  # fmt: skip
        layer.weight.value[...], layer.bias.value[...] = ops.asarray(p.w), ops.asarray(p.b)
    a = run(model, x)
    _, delta = call(ops, "softmax_cross_entropy", a, np.asarray([label], np.int32))
    run(model, x, delta)
    assert_gradient(loss, w, ops.to_numpy(model.layers[0].weight.grad), curvature=100)


@pytest.mark.seed("E20", "A4", "S0:4")
def test_e20_the_convolution_with_rot180_is_full_and_summed(ops: Ops) -> None:
    """δ * rot180(W), read as a layer's own convolution, shrinks; and one filter is not all."""
    w, delta = integers((2, 1, 2, 2), "float64", seed=1), integers((1, 2, 2, 2), "float64", seed=2)
    assert correlate(delta[0, 0], rot180(w[0, 0])).shape == (1, 1)

    def loss(x: np.ndarray) -> float:
        windows = np.lib.stride_tricks.sliding_window_view(x[0, 0], (2, 2))
        return float(np.einsum("pqij,kij,kpq->", windows, w[:, 0], delta[0]))

    true = numeric_gradient(loss, np.zeros((1, 1, 3, 3)))
    first, second = (full_correlation(delta[0, k], rot180(w[k, 0])) for k in (0, 1))
    assert (first != true[0, 0]).any()
    equal(first + second, true)
    equal(conv2d_backward_input(delta, w, (1, 1, 3, 3)), true)
    equal(call(ops, "conv2d_backward_input", delta, w, (1, 1, 3, 3)), true)


@pytest.mark.seed("E20", "A7", "S0:5")
def test_e20_the_update_correlates_a_with_delta(ops: Ops) -> None:
    """δ * a in this order does not even fit; a convolution, which has no order, turns δ."""
    a, delta = integers((1, 1, 4, 4), "float64", seed=1), integers((1, 1, 2, 2), "float64", seed=2)
    with pytest.raises(ShapeError, match="4x4 does not fit into a map of 2x2"):
        correlate(delta[0, 0], a[0, 0])

    def loss(w: np.ndarray) -> float:
        windows = np.lib.stride_tricks.sliding_window_view(a[0, 0], (3, 3))
        return float(np.einsum("pqij,ij,pq->", windows, w[0, 0], delta[0, 0]))

    true = numeric_gradient(loss, np.zeros((1, 1, 3, 3)))
    assert (convolve(a[0, 0], delta[0, 0]) != true[0, 0]).any()
    equal(correlate(a[0, 0], delta[0, 0]), true)
    equal(conv2d_backward_weight(delta, a, (1, 1, 3, 3)), true)
    equal(call(ops, "conv2d_backward_weight", delta, a, (1, 1, 3, 3)), true)


@pytest.mark.seed("E21", "A19", "A20", "C4")
def test_e21_the_loss_has_to_be_named(ops: Ops) -> None:
    """S0 goes from a softmax to "the loss function": each of the two has a δ of its own."""
    assert set(LOSSES) == {"softmax_cross_entropy", "mean_squared_error"}
    z, target = np.asarray([[1.0, 2, 3]]), np.asarray([[0.0, 1, 0]])

    def entropy(z: np.ndarray) -> float:
        return float(np.log(np.exp(z).sum()) - z[0, 1])

    def squared(z: np.ndarray) -> float:
        a = np.exp(z) / np.exp(z).sum()
        return float(((a - target) ** 2).sum() / 2)

    a = softmax(z)
    of_entropy = cross_entropy(z, [1])[1]
    of_square = softmax_backward(mean_squared_error(a, target)[1], a)
    assert (of_entropy != of_square).any()
    assert_gradient(entropy, z, of_entropy)
    assert_gradient(squared, z, of_square)
    _, delta = call(ops, "softmax_cross_entropy", z, np.asarray([1], np.int32))
    assert_gradient(entropy, z, delta)
    probabilities = call(ops, "softmax_forward", z)
    _, slope = call(ops, "mean_squared_error", probabilities, target)
    assert_gradient(squared, z, call(ops, "softmax_backward", slope, probabilities))


@pytest.mark.seed("E21", "A16", "S0:1")
def test_e21_the_bias_gradient_is_delta_once(ops: Ops) -> None:
    """The doubled equals sign of ∂J/∂b stands for nothing left out: db is δ, summed over m."""
    x, w = integers((2, 3), "float64", seed=1), integers((4, 3), "float64", seed=2)
    dy = integers((2, 4), "float64", seed=3)
    true = numeric_gradient(lambda b: float(((x @ w.T + b) * dy).sum()), np.zeros(4))
    equal(linear_backward(dy, x, w)[2], true)
    equal(call(ops, "linear_backward", dy, x, w)[2], true)
