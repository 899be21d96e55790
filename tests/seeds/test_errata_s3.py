"""E24 to E30: the slips in S3's mathematics, written out."""

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.reference.activations import relu_backward
from gpucnn.reference.convolution import correlate
from gpucnn.reference.identities import (
    correlation_by_im2col,
    input_gradient_by_places,
    input_jacobian,
    kronecker,
)
from gpucnn.reference.matrices import im2col, im2col_matrix, kernel_matrix, m_inverse, phi, vec
from gpucnn.reference.pooling import max_pool2d, max_pool2d_backward
from tests.ops.harness import call, numeric_gradient
from tests.seeds.examples import A, K, corr, equal, grid, maps

IMAGE, KERNEL = np.asarray(A, np.float64), np.asarray(K, np.float64)
X_SHAPE, PLACES, CELLS = (1, 3, 4), range(6), range(4)


@pytest.mark.seed("E24", "S3:2.1", "G1")
def test_e24_the_second_product_is_zero_times_one(ops: Ops) -> None:
    """The sum is 0 either way, because K has a 0 there; with another K it is not."""
    seed_window, window = [3, 0, 8, 5], [3, 1, 8, 5]
    equal(im2col(A, 2, order="C")[:, 1], window)
    assert np.dot(seed_window, np.ravel(K)) == np.dot(window, np.ravel(K)) == 0
    other = [[1, 1], [-1, 1]]
    assert np.dot(seed_window, np.ravel(other)) == 0
    assert np.dot(window, np.ravel(other)) == 1
    assert correlate(A, other)[0, 1] == 1
    assert corr(ops, A, other, "float64")[0, 0, 0, 1] == 1


@pytest.mark.seed("E25", "S3:2.2", "S3:2.3")
def test_e25_vec_k_is_a_column(ops: Ops) -> None:
    unrolled, column = im2col(A, 2, order="F").T, vec(KERNEL)[:, None]
    assert (unrolled.shape, column.shape) == ((6, 4), (4, 1))
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        unrolled @ column.T
    equal(unrolled @ column, [7, 1, 0, 6, -3, 8])
    for side in correlation_by_im2col(IMAGE, KERNEL):
        equal(side, [7, 1, 0, 6, -3, 8])
    equal(vec(corr(ops, A, K, "float64")[0, 0]), [7, 1, 0, 6, -3, 8])


@pytest.mark.seed("E26", "S3:2.23", "S3:2.30")
def test_e26_m_takes_many_places_to_one(ops: Ops) -> None:
    """Were m injective, a cell of x would get one share of the gradient; it gets up to four."""
    M = im2col_matrix(X_SHAPE, 2)
    dense = M.dense()
    # The entries are equal to 1, one in each row; "the only one" in its column none need be.
    assert set(M.values) == {1.0}
    equal(dense.sum(axis=1), np.ones(24))
    equal(dense.sum(axis=0).reshape(4, 3).T, [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]])
    dy = grid(2, 3, 1, "float64")[0]
    shares = vec(dy[0])[:, None] @ vec(KERNEL)[None, :]
    true = numeric_gradient(lambda x: float((correlate(x, KERNEL) * dy[0]).sum()), IMAGE)
    sets = {place: m_inverse(place, X_SHAPE, 2) for place in np.ndindex(*X_SHAPE)}
    assert sum(len(found) for found in sets.values()) == len(PLACES) * len(CELLS) > len(sets)
    one = [shares[found[0]] for found in sets.values()]
    assert (np.reshape(one, (3, 4)) != true).any()
    equal(input_gradient_by_places(IMAGE[None], KERNEL[None, None], dy), true)
    equal(call(ops, "conv2d_backward_input", dy[None], maps(K, "float64"), (1, *X_SHAPE)), true)


@pytest.mark.seed("E27", "S3:2.25")
def test_e27_the_jacobian_is_of_the_derivative() -> None:
    """Without its d the numerator of (2.25) is vec(y), 6 numbers; the Jacobian is 6x12."""
    w = KERNEL[None, None]
    factor = kronecker(kernel_matrix(w).T, np.eye(6))
    seed = factor @ vec(phi(A, 2))
    equal(seed, [7, 1, 0, 6, -3, 8])
    rows = [
        numeric_gradient(lambda x, row=row: float(vec(correlate(x, KERNEL))[row]), IMAGE)
        for row in PLACES
    ]
    true = np.stack([vec(row) for row in rows])
    assert seed.shape != true.shape
    equal(input_jacobian(IMAGE[None], w), true)
    equal(factor @ im2col_matrix(X_SHAPE, 2).dense(), true)


@pytest.mark.seed("E28", "A10", "S3:4.6")
def test_e28_the_sum_is_over_the_gradient_of_the_output(ops: Ops) -> None:
    """The gradient of x^k, read at the places of x^{k+1}, is that of other cells."""
    x = maps([[1, 8, 3, 4], [2, 7, 6, 9], [5, 1, 2, 3], [4, 6, 7, 5]], "float64")
    delta = grid(3, 3, 1, "float64")
    y, argmax = max_pool2d(x, 2, 1)

    def loss(x: np.ndarray) -> float:
        return float(sum(delta[0, 0, p, q] * x[0, 0, p : p + 2, q : q + 2].max()
                         for p, q in np.ndindex(3, 3)))  # fmt: skip

    true = numeric_gradient(loss, x)
    seed, right = np.zeros_like(x), np.zeros_like(x)
    for p, q in np.ndindex(3, 3):
        i, j = np.add((p, q), np.divmod(argmax[0, 0, p, q], 2))
        assert x[0, 0, i, j] == y[0, 0, p, q]
        seed[0, 0, i, j] += true[0, 0, p, q]
        right[0, 0, i, j] += delta[0, 0, p, q]
    assert (seed != true).any()
    equal(right, true)
    equal(max_pool2d_backward(delta, argmax, x.shape, 2, 1), true)
    settings = {"kernel_size": 2, "stride": 1}
    _, places = call(ops, "max_pool2d_forward", x, **settings)
    equal(call(ops, "max_pool2d_backward", delta, places, x.shape, **settings), true)


@pytest.mark.seed("E29", "S3:5.2", "S3:5.3")
def test_e29_the_slope_at_zero_is_zero(ops: Ops) -> None:
    """S3's last paragraph has it 0 "only below 0", against its own definition (5.2)."""
    x, dy = np.asarray([-1.0, 0, 2]), np.asarray([3.0, 5, 7])
    seed, defined = np.where(x < 0, 0, dy), np.where(x > 0, dy, 0)
    equal(seed, [0, 5, 7])
    equal(defined, [0, 0, 7])
    equal(relu_backward(dy, x), defined)
    equal(call(ops, "relu_backward", dy, x), defined)
    # Away from 0 the two agree, with the differences.
    sides = numeric_gradient(lambda x: float((np.maximum(x, 0) * dy[::2]).sum()), x[::2])
    equal(sides, defined[::2])


@pytest.mark.seed("E30", "C3")
def test_e30_strides_are_rows_then_columns(ops: Ops) -> None:
    """stride = (1, 2): in S3's order, to the right and then down, that is another result."""
    whole = np.asarray([[7, 0, -3], [1, 6, 8]])
    seed = whole[::2, ::1]
    equal(seed, [[7, 0, -3]])
    right = whole[::1, ::2]
    equal(correlate(A, K, (1, 2)), right)
    equal(corr(ops, A, K, "float64", stride=(1, 2)), right)
    equal(corr(ops, A, K, "float64", stride=(2, 1)), seed)
