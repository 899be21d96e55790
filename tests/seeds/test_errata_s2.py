"""E12 to E17: what S2 miscounts, leaves out or takes for a rule, written out."""

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.ops.base import Ops
from gpucnn.reference.activations import sigmoid, sigmoid_backward, softmax
from gpucnn.reference.convolution import correlate, full_correlation, rot180
from gpucnn.reference.losses import cross_entropy, cross_entropy_delta_by_jacobian
from gpucnn.reference.matrices import toeplitz_matrix
from gpucnn.reference.pooling import avg_pool2d_backward, max_pool2d, max_pool2d_backward
from tests.ops.harness import assert_gradient, call, numeric_gradient
from tests.oracles.tolerance import assert_close
from tests.seeds.examples import D22, K, equal, maps
from tests.seeds.s4_layout import Case, exact


@pytest.mark.seed("E12", "N1")
def test_e12_twenty_filters_have_520_parameters(ops: Ops) -> None:
    seed, right = 25 * 26, 20 * (25 + 1)
    assert (seed, right) == (650, 520)
    layer = gl.Conv2d(20, 5)
    layer.build((1, 28, 28), ops, 0)
    assert sum(parameter.size for parameter in layer.parameters()) == right


@pytest.mark.seed("E13", "C5", "S4:4", "S4:6")
def test_e13_delta_of_a_convolution_has_the_slope_of_its_activation(ops: Ops) -> None:
    """z, a = σ(z), pool: δ by z is unpool(δ) times σ'(z), not unpool(δ)."""
    z = np.asarray([[0.5, -1, 2, 0.25], [1.5, 3, -2, 1]])[None, None]
    delta = np.asarray([2.0, -3])[None, None, None]

    def loss(z: np.ndarray) -> float:
        a = 1 / (1 + np.exp(-z[0, 0]))
        return float(2 * a[:, :2].max() - 3 * a[:, 2:].max())

    a = sigmoid(z)
    _, argmax = max_pool2d(a, 2)
    seed = max_pool2d_backward(delta, argmax, z.shape, 2)
    right = sigmoid_backward(seed, a)
    # |σ'''| <= 1/8, times the largest δ.
    assert_gradient(loss, z, right, curvature=3 / 8)
    # σ' <= 1/4: where a gradient is, the seed's is four times as large or more.
    assert (abs(seed[right != 0]) >= 4 * abs(right[right != 0])).all()
    activation = call(ops, "sigmoid_forward", z)
    _, places = call(ops, "max_pool2d_forward", activation, kernel_size=2)
    below = call(ops, "max_pool2d_backward", delta, places, z.shape, kernel_size=2)
    assert_gradient(loss, z, call(ops, "sigmoid_backward", below, activation), curvature=3 / 8)


@pytest.mark.seed("E14", "A19", "S2:BP1")
def test_e14_delta_of_softmax_needs_the_full_jacobian(ops: Ops) -> None:
    """BP1's elementwise σ' leaves the other classes without a gradient; a - Y is right."""
    z, label = np.asarray([1.0, 2, 3]), 2
    a = softmax(z)

    def loss(z: np.ndarray) -> float:
        return float(np.log(np.exp(z).sum()) - z[label])

    slope = np.asarray([0, 0, -1 / a[label]])
    seed = slope * a * (1 - a)
    true = numeric_gradient(loss, z)
    assert not seed[:2].any()
    assert (true[:2] > 0.05).all()
    for right in (cross_entropy_delta_by_jacobian(a, label), cross_entropy(z[None], [label])[1][0]):
        assert_gradient(loss, z, right)
    # Under the mean of N samples δ is a - Y over N.
    four, labels = np.tile(z, (4, 1)), np.full(4, label, np.int32)
    for reduction, share in (("sum", 1), ("mean", 4)):
        delta = call(ops, "softmax_cross_entropy", four, labels, reduction=reduction)[1]
        assert_gradient(loss, z, delta[1] * share)


@pytest.mark.seed("E15", "A7", "S2:BP4")
def test_e15_bp4_has_strides_and_a_batch(ops: Ops) -> None:
    """conv(a, δ) of one sample has another shape at stride 2, and at stride 1 lacks the others."""
    strided = Case.of((5, 5), (3, 3), stride=2, depth=1)
    seed = correlate(strided.A[0, :, :, 0], strided.dZ[0, :, :, 1])
    assert seed.shape == (4, 4)
    plain = Case.of((5, 5), (3, 3), samples=2, depth=1)
    each = [correlate(plain.A[n, :, :, 0], plain.dZ[n, :, :, 1]) for n in (0, 1)]
    true = plain.by_differences().dW[:, :, 0, 1]
    assert (each[0] != true).any()
    equal(each[0] + each[1], true)
    for case in (strided, plain):
        exact(case.by_ops(ops), case.by_differences())


@pytest.mark.seed("E15", "A4", "S2:BP2")
def test_e15_bp2_sums_over_the_filters(ops: Ops) -> None:
    case = Case.of((4, 4), (2, 2), samples=1, depth=1, count=2)
    each = [
        full_correlation(case.dZ[0, :, :, k], rot180(case.W[:, :, 0, k].copy())) for k in (0, 1)
    ]
    true = case.by_differences().dA[0, :, :, 0]
    assert (each[0] != true).any()
    equal(each[0] + each[1], true)
    exact(case.by_ops(ops), case.by_differences())


@pytest.mark.seed("E16", "A11")
def test_e16_average_pools_that_overlap_add_up(ops: Ops) -> None:
    """S2 gives a cell δ/|R| of one window; the middle of 3x3 lies in four windows of 2x2."""
    delta, shape = maps(D22, "float64"), (1, 1, 3, 3)

    def loss(x: np.ndarray) -> float:
        return float(sum(delta[0, 0, p, q] * x[0, 0, p : p + 2, q : q + 2].sum() / 4
                         for p, q in np.ndindex(2, 2)))  # fmt: skip

    true = numeric_gradient(loss, np.arange(9.0).reshape(shape))
    one = [[delta[0, 0, min(i, 1), min(j, 1)] / 4 for j in range(3)] for i in range(3)]
    assert (np.asarray(one) != true[0, 0]).any()
    equal(avg_pool2d_backward(delta, shape, 2, 1), true)
    equal(call(ops, "avg_pool2d_backward", delta, shape, kernel_size=2, stride=1), true)


def toeplitz(matrix: np.ndarray) -> bool:
    """Whether each diagonal has one value."""
    return bool((matrix[1:, 1:] == matrix[:-1, :-1]).all())


@pytest.mark.seed("E16", "A27", "G9")
def test_e16_the_matrix_is_toeplitz_by_blocks_at_stride_1_alone() -> None:
    matrix = toeplitz_matrix(K, (3, 4)).dense()
    assert not toeplitz(matrix)
    blocks = matrix.reshape(2, 3, 3, 4).swapaxes(1, 2)
    assert all(toeplitz(block) for row in blocks for block in row)
    equal(blocks[1, 1:], blocks[0, :-1])
    strided = toeplitz_matrix(K, (4, 4), stride=2).dense().reshape(2, 2, 4, 4).swapaxes(1, 2)
    assert not all(toeplitz(block) for row in strided for block in row)
    # It is the matrix of the forward pass all the same.
    image = np.arange(16.0).reshape(4, 4)
    equal(toeplitz_matrix(K, (4, 4), stride=2) @ image.ravel(), correlate(image, K, 2).ravel())


@pytest.mark.seed("E17")
def test_e17_dropout_stands_wherever_it_is_put(ops: Ops) -> None:
    """S2 has it for fully connected layers only; nothing here refuses it elsewhere."""
    model = gl.Sequential(
        [gl.Dropout(0.5), gl.Conv2d(4, 3), gl.Dropout(0.5), gl.Dropout2d(0.5), gl.Conv2d(2, 3),
         gl.DropBlock2d(0.2, 2), gl.GlobalAvgPool2d()]
    )  # fmt: skip
    assert model.build((1, 8, 8), ops, 0, dtype="float64") == (2,)
    y = model.forward(ops.asarray(np.ones((3, 1, 8, 8))), train=True)
    assert ops.to_numpy(model.backward(y)).shape == (3, 1, 8, 8)


@pytest.mark.seed("E17")
def test_e17_a_network_needs_no_fully_connected_layer(ops: Ops) -> None:
    """S2 finds 90 % of all parameters there: so in its own network, in none of this one's."""

    def share(model: gl.Sequential, shape: tuple[int, ...]) -> float:
        model.build(shape, ops, 0)
        dense = sum(p.size for layer in model.layers if isinstance(layer, gl.Linear)
                    for p in layer.parameters())  # fmt: skip
        return dense / sum(p.size for p in model.parameters())

    s2 = gl.Sequential([gl.Conv2d(3, 5), gl.Relu(), gl.MaxPool2d(2), gl.Flatten(), gl.Linear(10)])
    assert share(s2, (1, 28, 28)) == 4330 / 4408
    assert share(gl.Sequential([gl.Conv2d(10, 5), gl.GlobalAvgPool2d()]), (1, 28, 28)) == 0


@pytest.mark.seed("E17", "A24")
def test_e17_batch_normalisation_leaves_its_output_free_to_shift(ops: Ops) -> None:
    """That it works by taking shifts away is an explanation: γ and β put any of them back."""
    layer = gl.BatchNorm2d()
    layer.build((1, 2, 2), ops, 0, dtype="float64")
    x = np.arange(8.0).reshape(2, 1, 2, 2)
    layer.gamma.value[...], layer.beta.value[...] = 3, 7
    y = ops.to_numpy(layer.forward(ops.asarray(x), train=True))
    # A mean of eight values of at most 7 + 3·√7 each, themselves of some ten roundings.
    assert_close(y.mean(keepdims=True), np.full((1, 1, 1, 1), 7.0), terms=20, magnitude=15)
