"""Flatten, the fully connected layer, and S3's view of it as a convolution. Whole numbers."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.reference import convolution, dense

draw = np.random.default_rng(5).integers


@pytest.mark.seed("A14")
def test_flatten_goes_by_channel_row_column() -> None:
    """S2: (3, 12, 12) to 432, at c·144 + h·12 + w; back it is the same numbers in the old shape."""
    x = draw(-9, 10, (2, 3, 12, 12))
    y = dense.flatten(x)
    np.testing.assert_array_equal(y, x.reshape(2, 432))
    assert y[1, 2 * 144 + 5 * 12 + 7] == x[1, 2, 5, 7]
    np.testing.assert_array_equal(dense.unflatten(y, x.shape), x)


@pytest.mark.seed("A16", "S2:BP2", "S2:BP3", "S2:BP4", "S4:5")
def test_linear_and_its_gradients() -> None:
    """Against whole matrix products over the batch."""
    x, w, b, dy = (draw(-9, 10, shape) for shape in ((4, 5), (3, 5), (3,), (4, 3)))
    np.testing.assert_array_equal(dense.linear(x, w, b), x @ w.T + b)
    np.testing.assert_array_equal(dense.linear(x, w), x @ w.T)
    dx, dw, db = dense.linear_backward(dy, x, w)
    np.testing.assert_array_equal(dx, dy @ w)
    np.testing.assert_array_equal(dw, dy.T @ x)
    np.testing.assert_array_equal(db, dy.sum(axis=0))


@pytest.mark.seed("A15", "S3:3")
def test_a_fully_connected_layer_is_a_convolution() -> None:
    """S3 §3: kernels as large as the maps; outputs and all three gradients."""
    x, w, b, dy = (draw(-9, 10, shape) for shape in ((2, 3, 4, 5), (6, 60), (6,), (2, 6)))
    kernels = dense.linear_as_convolution(w, (3, 4, 5))
    assert kernels.shape == (6, 3, 4, 5)
    y = convolution.conv2d_forward(x, kernels, b)
    np.testing.assert_array_equal(y[:, :, 0, 0], dense.linear(dense.flatten(x), w, b))
    delta = dy[:, :, None, None]
    dx, dw, db = dense.linear_backward(dy, dense.flatten(x), w)
    np.testing.assert_array_equal(
        convolution.conv2d_backward_input(delta, kernels, x.shape), dense.unflatten(dx, x.shape)
    )
    np.testing.assert_array_equal(
        convolution.conv2d_backward_weight(delta, x, kernels.shape).reshape(w.shape), dw
    )
    np.testing.assert_array_equal(convolution.conv2d_backward_bias(delta), db)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"x must be \(N, C, H, W\)"):
        dense.flatten(np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"dy must be \(2, 12\)"):
        dense.unflatten(np.zeros((2, 11)), (2, 3, 2, 2))
    with pytest.raises(ShapeError, match=r"got shapes \(2, 3\) and \(5, 4\)"):
        dense.linear(np.zeros((2, 3)), np.zeros((5, 4)))
    with pytest.raises(ShapeError, match=r"b must have shape \(5,\)"):
        dense.linear(np.zeros((2, 3)), np.zeros((5, 3)), np.zeros(3))
    with pytest.raises(ShapeError, match=r"dy must have y's shape \(2, 5\)"):
        dense.linear_backward(np.zeros((2, 4)), np.zeros((2, 3)), np.zeros((5, 3)))
    with pytest.raises(ShapeError, match=r"w must be \(out, 8\)"):
        dense.linear_as_convolution(np.zeros((5, 3)), (2, 2, 2))
