"""Convolution: the sources' numbers and formulas on the reference and on every device."""

import itertools

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import call
from tests.seeds.examples import D22, K9, A, K, backward, corr, equal, grid, integers, maps


@pytest.mark.seed("G1", "C1", "S3:2.1", "S4:1")
def test_forward_is_cross_correlation(ops: Ops, dtype: str) -> None:
    """S3 (2.1); true convolution turns the kernel by 180° and differs."""
    equal(corr(ops, A, K, dtype), [[7, 0, -3], [1, 6, 8]])
    turned = np.rot90(np.asarray(K), 2)
    equal(corr(ops, A, turned, dtype), [[6, 7, -2], [-4, 3, 7]])


@pytest.mark.seed("C3", "E30")
def test_pairs_are_height_and_width(ops: Ops, dtype: str) -> None:
    """S3 counts the other way round."""
    equal(corr(ops, A, K, dtype, stride=(1, 2)), [[7, -3], [1, 8]])
    equal(corr(ops, A, K, dtype, stride=(2, 1)), [[7, 0, -3]])
    assert corr(ops, A, K, dtype, padding=(1, 0)).shape == (1, 1, 4, 3)
    assert corr(ops, A, K, dtype, dilation=(2, 1)).shape == (1, 1, 1, 3)


@pytest.mark.seed("C5")
def test_a_fused_activation_equals_its_own_layer(ops: Ops, dtype: str) -> None:
    fused = corr(ops, A, K, dtype, activation="relu")
    equal(fused, call(ops, "relu_forward", corr(ops, A, K, dtype)))
    equal(fused, [[7, 0, 0], [1, 6, 8]])


@pytest.mark.seed("G3", "S3:2.21", "S3:2.28")
def test_gradients_of_the_example(ops: Ops, dtype: str) -> None:
    dy = grid(2, 3, 1, dtype)
    dx, dw, db = backward(ops, maps(A, dtype), maps(K, dtype), dy)
    equal(dw, [[88, 80], [55, 47]])
    equal(dx, [[1, 2, 3, 0], [3, 4, 5, 3], [-4, -1, -1, 6]])
    equal(db, [21])


@pytest.mark.seed("G4", "A5", "A7", "E1")
def test_stride_2(ops: Ops, dtype: str) -> None:
    """δ is dilated by the stride; S4's own code gives a 2x2 dW here (its error E1)."""
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


@pytest.mark.seed("G5", "A5", "A7")
def test_stride_2_and_padding_1(ops: Ops, dtype: str) -> None:
    x, w, dy = grid(3, 3, 1, dtype), maps(K9, dtype), maps(D22, dtype)
    kw = {"stride": 2, "padding": 1}
    equal(call(ops, "conv2d_forward", x, w, **kw), [[94, 106], [106, 94]])
    dx, dw, _ = backward(ops, x, w, dy, **kw)
    equal(dx, [[5, 14, 10], [14, 36, 24], [15, 34, 20]])
    equal(dw, [[20, 36, 15], [36, 64, 26], [10, 16, 5]])


@pytest.mark.seed("G6", "A4", "S0:4", "S1:3.2")
def test_full_correlation_with_the_turned_kernel(ops: Ops, dtype: str) -> None:
    """S0 §4, S1 3.2; and their nine formulas with numbers that tell every product apart."""
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


@pytest.mark.seed("G7", "A7", "S0:5")
def test_the_weight_gradient_is_a_correlation(ops: Ops, dtype: str) -> None:
    dw = call(ops, "conv2d_backward_weight", maps(D22, dtype), grid(4, 4, 1, dtype), (1, 1, 3, 3))
    equal(dw, [[44, 54, 64], [84, 94, 104], [124, 134, 144]])


@pytest.mark.seed("G8", "A4", "S4:15", "S4:17")
def test_the_padded_delta_of_s4(ops: Ops, dtype: str) -> None:
    """A 3x3 δ in two rings of zeros."""
    ones = np.ones((1, 1, 3, 3), dtype)
    dx = call(ops, "conv2d_backward_input", ones, ones, (1, 1, 5, 5))
    side = [1, 2, 3, 2, 1]
    equal(dx, np.outer(side, side))


@pytest.mark.seed("A3", "S3:2.4")
def test_channels_add_up(ops: Ops, dtype: str) -> None:
    """The sum over channels and one bias a filter; other depths are an error."""
    x, w = np.asarray([[A, np.flip(A)]], dtype), np.asarray([[K, D22], [D22, K]], dtype)
    bias = np.asarray([100, 200], dtype)
    y = call(ops, "conv2d_forward", x, w, bias)
    assert y.shape == (1, 2, 2, 3)
    for k in (0, 1):
        parts = [corr(ops, x[0, c], w[k, c], dtype)[0, 0] for c in (0, 1)]
        equal(y[0, k], parts[0] + parts[1] + bias[k])
    with pytest.raises(ShapeError, match="C=2"):
        call(ops, "conv2d_forward", x, np.asarray([[K]], dtype))


@pytest.mark.seed("A4", "S2:BP2", "S4:15", "E15", "E20")
def test_the_input_gradient_sums_over_the_filters(ops: Ops, dtype: str) -> None:
    """In and out channels change places."""
    w = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2).astype(dtype)
    dy = np.stack([np.asarray(D22), np.asarray(D22) * 10])[None].astype(dtype)
    dx = call(ops, "conv2d_backward_input", dy, w, (1, 3, 3, 3))
    for c in range(3):
        padded = np.pad(dy[0], ((0, 0), (1, 1), (1, 1)))
        parts = [corr(ops, padded[k], np.rot90(w[k, c], 2), dtype)[0, 0] for k in (0, 1)]
        equal(dx[0, c], parts[0] + parts[1])


KERNELS = (1, 1), (2, 3), (3, 2)
STRIDES = 1, 2, (2, 3)
# (4, 5) is beyond F - 1 for every kernel here, so the crop cuts into the gradient itself.
PADDINGS = 0, (2, 1), ((1, 0), (0, 2)), (4, 5)
DILATIONS = 1, 2, (1, 2)
GROUPS = 1, 2


@pytest.mark.seed("A5", "A6", "A7", "S4:15")
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_backward_is_the_adjoint_of_forward(
    ops: Ops, dtype: str, kernel: tuple[int, int], groups: int
) -> None:
    """<conv(x), d> = <x, convᵀ(d)> = <w, dw(d)> in whole numbers, on maps that are not square."""
    x, w = integers((1, 2, 5, 6), dtype, 1), integers((2, 2 // groups, *kernel), dtype, 2)
    for stride, padding, dilation in itertools.product(STRIDES, PADDINGS, DILATIONS):
        kw = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        y = call(ops, "conv2d_forward", x, w, **kw)
        d = integers(y.shape, dtype, 3)
        dx, dw, db = backward(ops, x, w, d, **kw)
        assert (y * d).sum() == (x * dx).sum() == (w * dw).sum(), kw
        equal(db, d.sum(axis=(0, 2, 3)))


@pytest.mark.seed("A5")
def test_the_adjoint_example(ops: Ops, dtype: str) -> None:
    """Of A and K with δ = 1..6: 80 on both sides."""
    dy = grid(2, 3, 1, dtype)
    dx, _, _ = backward(ops, maps(A, dtype), maps(K, dtype), dy)
    assert (corr(ops, A, K, dtype) * dy).sum() == (np.asarray(A) * dx[0, 0]).sum() == 80


@pytest.mark.seed("A6", "E6")
def test_the_remainder_gets_zeros_and_dw_keeps_its_shape(ops: Ops, dtype: str) -> None:
    """6x6, F 3, S 2: S4's code makes dX 5x5 (its error E6)."""
    x, w, dy = grid(6, 6, 0, dtype), maps(K9, dtype), maps(D22, dtype)
    dx, dw, _ = backward(ops, x, w, dy, stride=2)
    equal(dx[0, 0, 5], [0] * 6)
    equal(dx[0, 0, :, 5], [0] * 6)
    small = call(ops, "conv2d_backward_input", dy, w, (1, 1, 5, 5), stride=2)
    equal(dx[0, 0, :5, :5], small[0, 0])
    cropped = x[:, :, :5, :5].copy()
    equal(dw, call(ops, "conv2d_backward_weight", dy, cropped, w.shape, stride=2)[0, 0])


@pytest.mark.seed("A7", "S1:3.1", "S4:18")
def test_the_four_formulas_of_s1(ops: Ops, dtype: str) -> None:
    """dF_uv = Σ O_ij X_(i+u)(j+v), the filter not turned."""
    x = grid(3, 3, 1, dtype)
    dw = call(ops, "conv2d_backward_weight", maps([[1, 10], [100, 1000]], dtype), x, (1, 1, 2, 2))
    equal(
        dw, [[1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000], [4 + 50 + 700 + 8000, 5 + 60 + 800 + 9000]]
    )


@pytest.mark.seed("A8", "S2:BP3", "S4:19", "E10")
def test_the_bias_gradient_counts_the_places(ops: Ops, dtype: str) -> None:
    """24x24 ones of N images."""
    equal(call(ops, "conv2d_backward_bias", np.ones((3, 2, 24, 24), dtype)), [3 * 576] * 2)


@pytest.mark.seed("A30")
def test_sobel(ops: Ops, dtype: str) -> None:
    """S3: G finds horizontal edges, its transpose vertical ones."""
    g = np.asarray([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    image = np.repeat([[0], [0], [0], [1], [1]], 5, axis=1)
    equal(corr(ops, image, g, dtype), [[0] * 3, [-4] * 3, [-4] * 3])
    equal(corr(ops, image, g.T, dtype), np.zeros((3, 3)))
    equal(corr(ops, A, g, dtype), [[1, 4]])
    equal(corr(ops, A, g.T, dtype), [[-3, 12]])
