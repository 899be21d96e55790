"""S4's program, put right, against sums over single products. Whole numbers."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.reference import loops
from gpucnn.reference.layout import hwio_to_kcrs, kcrs_to_hwio, nchw_to_nhwc, nhwc_to_nchw
from tests.oracles.convolution import Convolution

draw = np.random.default_rng(5).integers

# m, n_H, n_W, C_prev; fh, fw, C; padding; strides. E1 to E6 each need one of these to show.
CASES = [
    ((2, 4, 5, 3), (2, 3, 2), (0, 0), (1, 1)),
    ((2, 5, 5, 2), (3, 3, 3), (0, 0), (2, 2)),
    ((1, 7, 7, 1), (3, 3, 2), (1, 1), (2, 2)),
    ((1, 6, 6, 2), (3, 3, 1), (0, 0), (2, 2)),
    ((1, 6, 8, 2), (2, 3, 3), (1, 2), (2, 3)),
    ((2, 3, 4, 1), (2, 2, 1), (3, 2), (1, 2)),
]


@pytest.mark.seed("A29", "E1", "E2", "E3", "E4", "E5", "E6", "E7")
@pytest.mark.parametrize("backward", [loops.conv_backward, loops.conv_backward_2])
@pytest.mark.parametrize(("a_shape", "filters", "padding", "strides"), CASES)
def test_forward_and_backward_are_their_sums(
    backward: object,
    a_shape: tuple[int, int, int, int],
    filters: tuple[int, int, int],
    padding: tuple[int, int],
    strides: tuple[int, int],
) -> None:
    (fh, fw, C), C_prev = filters, a_shape[3]
    A, W = draw(-9, 10, a_shape).astype(float), draw(-9, 10, (fh, fw, C_prev, C)).astype(float)
    b = draw(-9, 10, (1, 1, 1, C)).astype(float)
    x, w = nhwc_to_nchw(A), hwio_to_kcrs(W)
    oracle = Convolution(x.shape, w.shape, stride=strides, padding=padding)

    Z, cache = loops.conv_forward(A, W, b, padding, strides)
    np.testing.assert_array_equal(Z, nchw_to_nhwc(oracle.forward(x, w, b.ravel())))
    dZ = draw(-9, 10, Z.shape).astype(float)
    dA, dW, db = backward(dZ, cache)  # type: ignore[operator]
    dy = nhwc_to_nchw(dZ)
    np.testing.assert_array_equal(dA, nchw_to_nhwc(oracle.backward_input(dy, w)))
    np.testing.assert_array_equal(dW, kcrs_to_hwio(oracle.backward_weight(dy, x)))
    np.testing.assert_array_equal(db, dZ.sum(axis=(0, 1, 2)).reshape(1, 1, 1, C))


@pytest.mark.seed("A29")
def test_the_helpers() -> None:
    A = draw(1, 10, (2, 2, 3, 2)).astype(float)
    padded = loops.zero_pad(A, (1, 2))
    assert padded.shape == (2, 4, 7, 2)
    assert padded.sum() == A.sum()
    np.testing.assert_array_equal(loops._remove_padding(padded, (1, 2)), A)
    spread = loops._insert_zeros(A, (2, 3))
    assert spread.shape == (2, 3, 7, 2)
    assert spread.sum() == A.sum()
    np.testing.assert_array_equal(spread[:, ::2, ::3], A)


def test_depths_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match="A has 2 channels, so W needs C_prev = 2, got 3"):
        loops.conv_forward(np.zeros((1, 3, 3, 2)), np.zeros((2, 2, 3, 1)), np.zeros((1, 1, 1, 1)))
