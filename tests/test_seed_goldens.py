"""The seeds' golden numbers (S0-S4) and rules, on every device. Small whole numbers: exact.

Ids as in the project's list of the seeds' statements: G and P golden numbers, N networks, A what
must exist, C conventions.
"""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential
from gpucnn.ops.base import Ops
from tests.ops.harness import call
from tests.oracles.tolerance import assert_close

A = [[1, 3, 1, 4], [2, 8, 5, 1], [3, 2, 0, 3]]
K = [[1, 0], [-1, 1]]
K9 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
D22 = [[1, 2], [3, 4]]


def maps(rows: Any, dtype: str) -> np.ndarray:
    """One map of one image: (1, 1, H, W)."""
    return np.asarray(rows, dtype)[None, None]


def grid(rows: int, columns: int, first: int, dtype: str) -> np.ndarray:
    """first, first + 1, ... in reading order."""
    return maps(np.arange(first, first + rows * columns).reshape(rows, columns), dtype)


def equal(actual: np.ndarray, expected: Any) -> None:
    np.testing.assert_array_equal(actual.reshape(np.shape(expected)), expected)


def corr(ops: Ops, x: Any, w: Any, dtype: str, **kw: Any) -> np.ndarray:
    return call(ops, "conv2d_forward", maps(x, dtype), maps(w, dtype), **kw)


def backward(ops: Ops, x: np.ndarray, w: np.ndarray, dy: np.ndarray, **kw: Any) -> Any:
    dx = call(ops, "conv2d_backward_input", dy, w, x.shape, **kw)
    dw = call(ops, "conv2d_backward_weight", dy, x, w.shape, **kw)
    return dx, dw, call(ops, "conv2d_backward_bias", dy)


def test_g1_c1_forward_is_cross_correlation(ops: Ops, dtype: str) -> None:
    """S3 (2.1); true convolution turns the kernel by 180° and differs."""
    equal(corr(ops, A, K, dtype), [[7, 0, -3], [1, 6, 8]])
    turned = np.rot90(np.asarray(K), 2)
    equal(corr(ops, A, turned, dtype), [[6, 7, -2], [-4, 3, 7]])


def test_g2_the_windows_in_reading_order(ops: Ops, dtype: str) -> None:
    """One-hot filters read im2col's rows out of A: our C order of S3 (2.2)."""
    pick = np.eye(4, dtype=dtype).reshape(4, 1, 2, 2)
    columns = call(ops, "conv2d_forward", maps(A, dtype), pick)
    rows = [[1, 3, 1, 2, 8, 5], [3, 1, 4, 8, 5, 1], [2, 8, 5, 3, 2, 0], [8, 5, 1, 2, 0, 3]]
    equal(columns.reshape(4, 6), rows)
    equal(np.asarray([1, 0, -1, 1]) @ columns.reshape(4, 6), [7, 0, -3, 1, 6, 8])


def test_g3_gradients_of_g1(ops: Ops, dtype: str) -> None:
    dy = grid(2, 3, 1, dtype)
    dx, dw, db = backward(ops, maps(A, dtype), maps(K, dtype), dy)
    equal(dw, [[88, 80], [55, 47]])
    equal(dx, [[1, 2, 3, 0], [3, 4, 5, 3], [-4, -1, -1, 6]])
    equal(db, [21])


def test_g4_stride_2(ops: Ops, dtype: str) -> None:
    """A5, A7: δ is dilated by the stride; S4's own code gives a 2x2 dW here (its error E1)."""
    x, w, dy = grid(5, 5, 0, dtype), maps(K9, dtype), maps(D22, dtype)
    equal(call(ops, "conv2d_forward", x, w, stride=2), [[366, 456], [816, 906]])
    dx, dw, db = backward(ops, x, w, dy, stride=2)
    equal(
        dx,
        [
            [1, 2, 5, 4, 6],
            [4, 5, 14, 10, 12],
            [10, 14, 36, 24, 30],
            [12, 15, 34, 20, 24],
            [21, 24, 55, 32, 36],
        ],
    )
    equal(dw, [[82, 92, 102], [132, 142, 152], [182, 192, 202]])
    equal(db, [10])


def test_g5_stride_2_and_padding_1(ops: Ops, dtype: str) -> None:
    x, w, dy = grid(3, 3, 1, dtype), maps(K9, dtype), maps(D22, dtype)
    kw = {"stride": 2, "padding": 1}
    equal(call(ops, "conv2d_forward", x, w, **kw), [[94, 106], [106, 94]])
    dx, dw, _ = backward(ops, x, w, dy, **kw)
    equal(dx, [[5, 14, 10], [14, 36, 24], [15, 34, 20]])
    equal(dw, [[20, 36, 15], [36, 64, 26], [10, 16, 5]])


def test_g6_full_correlation_with_the_turned_kernel(ops: Ops, dtype: str) -> None:
    """S0 §4, S1 3.2; and its nine formulas with numbers that tell every product apart."""
    delta = maps(D22, dtype)
    dx = call(ops, "conv2d_backward_input", delta, delta, (1, 1, 3, 3))
    equal(dx, [[1, 4, 4], [6, 20, 16], [9, 24, 16]])
    (d11, d12), (d21, d22) = (1, 10), (100, 1000)
    (w11, w12), (w21, w22) = (2, 3), (5, 7)
    got = call(
        ops,
        "conv2d_backward_input",
        maps([[d11, d12], [d21, d22]], dtype),
        maps([[w11, w12], [w21, w22]], dtype),
        (1, 1, 3, 3),
    )
    equal(
        got,
        [
            [d11 * w11, d11 * w12 + d12 * w11, d12 * w12],
            [
                d11 * w21 + d21 * w11,
                d11 * w22 + d12 * w21 + d21 * w12 + d22 * w11,
                d12 * w22 + d22 * w12,
            ],
            [d21 * w21, d21 * w22 + d22 * w21, d22 * w22],
        ],
    )


def test_g7_weight_gradient_is_a_correlation(ops: Ops, dtype: str) -> None:
    """S0 §5."""
    dw = call(ops, "conv2d_backward_weight", maps(D22, dtype), grid(4, 4, 1, dtype), (1, 1, 3, 3))
    equal(dw, [[44, 54, 64], [84, 94, 104], [124, 134, 144]])


def test_g8_the_padded_delta_of_s4(ops: Ops, dtype: str) -> None:
    ones = np.ones((1, 1, 3, 3), dtype)
    dx = call(ops, "conv2d_backward_input", ones, ones, (1, 1, 5, 5))
    side = [1, 2, 3, 2, 1]
    equal(dx, np.outer(side, side))


def test_g9_the_toeplitz_matrix_of_g1(ops: Ops, dtype: str) -> None:
    """C is the matrix of the map x -> y: forward is C, the input gradient is Cᵀ."""
    basis = np.eye(12, dtype=dtype).reshape(12, 1, 3, 4)
    matrix = call(ops, "conv2d_forward", basis, maps(K, dtype)).reshape(12, 6).T
    equal(matrix[0], [1, 0, 0, 0, -1, 1, 0, 0, 0, 0, 0, 0])
    equal(matrix[3], [0, 0, 0, 0, 1, 0, 0, 0, -1, 1, 0, 0])
    equal(matrix @ np.ravel(A), [7, 0, -3, 1, 6, 8])
    rows = np.eye(6, dtype=dtype).reshape(6, 1, 2, 3)
    transposed = call(ops, "conv2d_backward_input", rows, maps(K, dtype), (6, 1, 3, 4))
    equal(transposed.reshape(6, 12), matrix)


def test_p1_max_pool_backward(ops: Ops, dtype: str) -> None:
    """S0 §3, A9: the recorded places are top left, bottom right, top right, bottom left."""
    x = maps([[9, 1, 1, 1], [1, 1, 1, 9], [1, 9, 1, 1], [1, 1, 9, 1]], dtype)
    y, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2)
    equal(y, [[9, 9], [9, 9]])
    equal(argmax, [[0, 3], [1, 2]])
    delta = maps([[2, 8], [4, 6]], dtype)
    dx = call(ops, "max_pool2d_backward", delta, argmax, x.shape, kernel_size=2)
    equal(dx, [[2, 0, 0, 0], [0, 0, 0, 8], [0, 4, 0, 0], [0, 0, 6, 0]])


def test_p2_average_pool_backward(ops: Ops, dtype: str) -> None:
    """S0 §3, A11."""
    delta = maps([[2, 8], [4, 6]], dtype)
    dx = call(ops, "avg_pool2d_backward", delta, (1, 1, 4, 4), kernel_size=2)
    equal(dx, [[0.5, 0.5, 2, 2], [0.5, 0.5, 2, 2], [1, 1, 1.5, 1.5], [1, 1, 1.5, 1.5]])


def test_a2_same_padding_at_either_end(ops: Ops, dtype: str) -> None:
    """S3: an even kernel's extra row and column, below and right or above and left."""
    below = corr(ops, A, K, dtype, padding=((0, 1), (0, 1)))
    equal(below, [[7, 0, -3, 3], [1, 6, 8, -2], [3, 2, 0, 3]])
    above = corr(ops, A, K, dtype, padding=((1, 0), (1, 0)))
    equal(above, [[1, 2, -2, 3], [2, 7, 0, -3], [3, 1, 6, 8]])
    layer = Conv2d(1, 2, padding="same", bias=False)
    assert layer.build((1, 3, 4), ops, 0, dtype=dtype) == (1, 3, 4)
    layer.weight.value[...] = ops.asarray(maps(K, dtype))
    y = layer.forward(ops.asarray(maps(A, dtype)), train=False)
    equal(ops.to_numpy(y), [[7, 0, -3, 3], [1, 6, 8, -2], [3, 2, 0, 3]])


def test_a1_sizes_are_strict_in_layers(ops: Ops) -> None:
    """S4: (W - F + 2P)/S + 1 must be a whole number; floor is chosen openly."""
    for width, kernel, padding, stride, out in (
        (5, 3, 0, 1, 3), (28, 5, 0, 1, 24), (24, 2, 0, 2, 12), (3, 3, 1, 2, 2),
    ):  # fmt: skip
        layer = Conv2d(1, kernel, padding=padding, stride=stride)
        assert layer.build((1, width, width), ops, 0) == (1, out, out)
    with pytest.raises(ShapeError, match=r"conv2d.*height.*= 2\.5.*width"):
        Conv2d(1, 3, stride=2).build((1, 6, 6), ops, 0)
    floored = Conv2d(1, 3, stride=2, rounding="floor")
    assert floored.build((1, 6, 6), ops, 0) == (1, 2, 2)
    with pytest.raises(ShapeError):
        Conv2d(1, 6, padding=0).build((1, 5, 5), ops, 0)
    for wrong in ({"stride": 0}, {"padding": -1}):
        with pytest.raises(ConfigError):
            Conv2d(1, 3, **wrong).build((1, 5, 5), ops, 0)


def test_a3_channels_add_up(ops: Ops, dtype: str) -> None:
    """S3 (2.4): the sum over channels and one bias a filter; other depths are an error."""
    x, w = np.asarray([[A, np.flip(A)]], dtype), np.asarray([[K, D22]], dtype)
    bias = np.asarray([100], dtype)
    y = call(ops, "conv2d_forward", x, w, bias)
    parts = [corr(ops, x[0, c], w[0, c], dtype) for c in (0, 1)]
    equal(y, parts[0][0, 0] + parts[1][0, 0] + 100)
    with pytest.raises(ShapeError, match="C=2"):
        call(ops, "conv2d_forward", x, np.asarray([[K]], dtype))


def test_a4_input_gradient_sums_over_the_filters(ops: Ops, dtype: str) -> None:
    """S4 (15): in and out channels change places."""
    w = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2).astype(dtype)
    dy = np.stack([np.asarray(D22), np.asarray(D22) * 10])[None].astype(dtype)
    dx = call(ops, "conv2d_backward_input", dy, w, (1, 3, 3, 3))
    for c in range(3):
        parts = [
            call(ops, "conv2d_backward_input", dy[:, k : k + 1].copy(), w[k, c][None, None].copy(),
                 (1, 1, 3, 3))
            for k in (0, 1)
        ]  # fmt: skip
        equal(dx[0, c], (parts[0] + parts[1])[0, 0])


@pytest.mark.parametrize("padding", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a5_padding_is_cropped_also_beyond_the_kernel(
    ops: Ops, dtype: str, stride: int, padding: int
) -> None:
    """<conv(x), d> = <x, convᵀ(d)> in whole numbers, P <= F - 1 and beyond, F 2x3."""
    draw = np.random.default_rng(0).integers
    x, w = draw(-5, 6, (1, 2, 4, 5)).astype(dtype), draw(-5, 6, (3, 2, 2, 3)).astype(dtype)
    kw = {"stride": stride, "padding": padding}
    y = call(ops, "conv2d_forward", x, w, **kw)
    d = draw(-5, 6, y.shape).astype(dtype)
    dx, dw, _ = backward(ops, x, w, d, **kw)
    assert (y * d).sum() == (x * dx).sum() == (w * dw).sum()


def test_a6_the_remainder_gets_zeros_and_dw_keeps_its_shape(ops: Ops, dtype: str) -> None:
    """6x6, F 3, S 2: S4's code makes dX 5x5 (its error E6)."""
    x, w, dy = grid(6, 6, 0, dtype), maps(K9, dtype), maps(D22, dtype)
    dx, dw, _ = backward(ops, x, w, dy, stride=2)
    equal(dx[0, 0, 5], [0] * 6)
    equal(dx[0, 0, :, 5], [0] * 6)
    small = call(ops, "conv2d_backward_input", dy, w, (1, 1, 5, 5), stride=2)
    equal(dx[0, 0, :5, :5], small[0, 0])
    cropped = x[:, :, :5, :5].copy()
    equal(dw, call(ops, "conv2d_backward_weight", dy, cropped, w.shape, stride=2)[0, 0])


def test_a7_the_four_formulas_of_s1(ops: Ops, dtype: str) -> None:
    """dF_uv = Σ O_ij X_(i+u)(j+v), the filter not turned."""
    x = grid(3, 3, 1, dtype)
    dw = call(ops, "conv2d_backward_weight", maps([[1, 10], [100, 1000]], dtype), x, (1, 1, 2, 2))
    equal(
        dw, [[1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000], [4 + 50 + 700 + 8000, 5 + 60 + 800 + 9000]]
    )


def test_a8_bias_gradient_counts_the_places(ops: Ops, dtype: str) -> None:
    """S2 BP3: 24x24 ones of N images."""
    equal(call(ops, "conv2d_backward_bias", np.ones((3, 2, 24, 24), dtype)), [3 * 576] * 2)


def test_a10_overlapping_max_pools_add_up(ops: Ops, dtype: str) -> None:
    """S3 (4.6)."""
    x = maps([[1, 2, 3], [4, 9, 5], [6, 7, 8]], dtype)
    _, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2, stride=1)
    dx = call(
        ops, "max_pool2d_backward", maps(D22, dtype), argmax, x.shape, kernel_size=2, stride=1
    )
    equal(dx, [[0, 0, 0], [0, 10, 0], [0, 0, 0]])


def test_a11_overlapping_average_pools_add_up(ops: Ops, dtype: str) -> None:
    dx = call(ops, "avg_pool2d_backward", maps(D22, dtype), (1, 1, 3, 3), kernel_size=2, stride=1)
    equal(dx, [[0.25, 0.75, 0.5], [1, 2.5, 1.5], [0.75, 1.75, 1]])


def test_a13_l2_pool(ops: Ops, dtype: str) -> None:
    """S2: the root of the sum of squares, no mean; the gradient of a zero window is 0."""
    x = maps([[1, 3, 1, 4], [2, 8, 5, 1]], dtype)
    y = call(ops, "lp_pool2d_forward", x, kernel_size=2)
    # A sum of 4 squares, exact here, a root and, around it, scaling: 24 roundings, as test_pooling.
    assert_close(y[0, 0], np.sqrt([[78.0, 43.0]]), terms=24)
    assert abs(y[0, 0] - [[8.83176087, 6.55743852]]).max() < 1e-6
    dx = call(ops, "lp_pool2d_backward", np.ones_like(y), x, y, kernel_size=2)
    assert_close(dx[0, 0], x[0, 0] / np.repeat(np.sqrt([[78.0, 43.0]]), 2, axis=1), terms=48)
    zero = np.zeros((1, 1, 2, 2), dtype)
    flat = call(ops, "lp_pool2d_forward", zero, kernel_size=2)
    equal(call(ops, "lp_pool2d_backward", np.ones_like(flat), zero, flat, kernel_size=2), zero)


def test_a17_relu(ops: Ops, dtype: str) -> None:
    """S3 §5: the mask comes from the input, and ReLU'(0) = 0."""
    x = np.asarray([-1, 0, 2], dtype)
    equal(call(ops, "relu_forward", x), [0, 0, 2])
    equal(call(ops, "relu_backward", np.ones(3, dtype), x), [0, 0, 1])


def test_a18_sigmoid(ops: Ops, dtype: str) -> None:
    """σ'(0) = 1/4 is the largest; far out it vanishes without overflow."""
    x = np.asarray([0, 1000, -1000], dtype)
    y = call(ops, "sigmoid_forward", x)
    equal(y, [0.5, 1, 0])
    equal(call(ops, "sigmoid_backward", np.ones(3, dtype), y), [0.25, 0, 0])


def test_a19_softmax_and_cross_entropy(ops: Ops, dtype: str) -> None:
    """S0, S2: δ = a - Y; divided by N under mean."""
    logits = np.asarray([[1, 2, 3]], dtype)
    label = np.asarray([2], np.int32)
    loss, delta = call(ops, "softmax_cross_entropy", logits, label)
    # The golden numbers have 8 digits.
    digits = 5e-9 + 16 * float(np.finfo(dtype).eps)
    assert abs(float(loss) - 0.40760596) < digits
    assert abs(delta - [[0.09003057, 0.24472847, -0.33475904]]).max() < digits
    assert abs(delta.sum()) < digits
    probabilities = call(ops, "softmax_forward", logits)
    assert abs(probabilities - [[0.09003057, 0.24472847, 0.66524096]]).max() < digits
    four, labels = np.repeat(logits, 4, axis=0), np.repeat(label, 4)
    mean = call(ops, "softmax_cross_entropy", four, labels)
    equal(mean[1] * 4, np.repeat(delta, 4, axis=0))


def test_a30_sobel(ops: Ops, dtype: str) -> None:
    """S3: G finds horizontal edges, its transpose vertical ones."""
    g = np.asarray([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    image = np.repeat([[0], [0], [0], [1], [1]], 5, axis=1)
    equal(corr(ops, image, g, dtype), [[0] * 3, [-4] * 3, [-4] * 3])
    equal(corr(ops, image, g.T, dtype), np.zeros((3, 3)))
    equal(corr(ops, A, g, dtype), [[1, 4]])
    equal(corr(ops, A, g.T, dtype), [[-3, 12]])


def test_c3_pairs_are_height_and_width(ops: Ops, dtype: str) -> None:
    """S3 counts the other way round."""
    equal(corr(ops, A, K, dtype, stride=(1, 2)), [[7, -3], [1, 8]])
    equal(corr(ops, A, K, dtype, stride=(2, 1)), [[7, 0, -3]])
    assert corr(ops, A, K, dtype, padding=(1, 0)).shape == (1, 1, 4, 3)
    assert corr(ops, A, K, dtype, dilation=(2, 1)).shape == (1, 1, 1, 3)


def test_c5_a_fused_activation_equals_its_own_layer(ops: Ops, dtype: str) -> None:
    fused = corr(ops, A, K, dtype, activation="relu")
    equal(fused, call(ops, "relu_forward", corr(ops, A, K, dtype)))


def test_c7_ties(ops: Ops, dtype: str) -> None:
    """Reading order by default; S3 takes the smallest column, then the smallest row."""
    x = maps([[1, 5], [5, 5]], dtype)
    for tie_break, place in (("row_major", (0, 1)), ("column_major", (1, 0))):
        layer = MaxPool2d(2, tie_break=tie_break)
        layer.build((1, 2, 2), ops, 0, dtype=dtype)
        layer.forward(ops.asarray(x), train=True)
        dx = ops.to_numpy(layer.backward(ops.asarray(np.ones((1, 1, 1, 1), dtype))))
        assert np.argwhere(dx[0, 0]).tolist() == [list(place)], tie_break


def parameters(layer: Any) -> int:
    return sum(int(np.prod(p.value.shape)) for p in layer.parameters())


def test_n1_a_filter_bank_of_s2(ops: Ops) -> None:
    """20 filters 5x5 on 28x28: 520 = 20·(25 + 1) parameters (S2 writes 25·26, its error E12)."""
    layer = Conv2d(20, 5)
    assert layer.build((1, 28, 28), ops, 0) == (20, 24, 24)
    assert parameters(layer) == 520


def seed_network(*head: Any) -> Sequential:
    return Sequential(layers=[Conv2d(3, 5), Relu(), MaxPool2d(2), Flatten(), *head])


def test_n2_the_network_of_s2(ops: Ops) -> None:
    model = seed_network(Linear(10))
    assert model.build((1, 28, 28), ops, 0) == (10,)
    shapes = [layer.output_shape for layer in model.children()]
    assert shapes == [(3, 24, 24), (3, 24, 24), (3, 12, 12), (432,), (10,)]
    assert [parameters(layer) for layer in model.children()] == [78, 0, 0, 0, 4330]
    assert parameters(model) == 4408


def test_n3_the_longer_tail_of_s2(ops: Ops) -> None:
    model = seed_network(Linear(128), Relu(), Linear(10))
    model.build((1, 28, 28), ops, 0)
    assert [parameters(layer) for layer in model.children()][4:] == [55424, 0, 1290]
    assert parameters(model) == 56792
