"""S3's matrices: against NumPy's own layouts, windows taken by slices, and their definitions."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference import matrices as ref
from gpucnn.reference.convolution import correlate

draw = np.random.default_rng(6).integers


@pytest.mark.seed("S3:2.7", "C8")
def test_vec_stacks_columns_map_by_map() -> None:
    x = draw(-9, 10, (2, 3, 4, 5))
    np.testing.assert_array_equal(ref.vec(x[0, 0]), x[0, 0].ravel(order="F"))
    np.testing.assert_array_equal(ref.vec(x), np.swapaxes(x, 2, 3).ravel())
    np.testing.assert_array_equal(ref.vec([1, 2]), [1, 2])
    for part in (x, x[0], x[0, 0]):
        np.testing.assert_array_equal(ref.unvec(ref.vec(part), part.shape), part)


@pytest.mark.seed("C8", "S3:2.5", "S3:2.6")
@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_im2cols_columns_are_the_windows(order: Any, stride: Any) -> None:
    x = draw(-9, 10, (2, 5, 6))
    down, right = (stride, stride) if isinstance(stride, int) else stride
    windows = np.array(
        [
            [x[:, p : p + 2, q : q + 3] for q in range(0, 4, right)]
            for p in range(0, 4, down)
        ]
    )  # fmt: skip
    matrix = ref.im2col(x, (2, 3), stride, order)
    column_of = np.arange(windows.shape[0] * windows.shape[1]).reshape(
        windows.shape[:2], order=order
    )
    assert matrix.shape == (2 * 2 * 3, column_of.size)
    for p, q in np.ndindex(column_of.shape):
        expected = np.concatenate([channel.ravel(order=order) for channel in windows[p, q]])
        np.testing.assert_array_equal(matrix[:, column_of[p, q]], expected)
    if order == "F":
        np.testing.assert_array_equal(ref.phi(x, (2, 3), stride), matrix.T)


@pytest.mark.seed("A27", "S3:2.23", "S3:2.24", "E26")
@pytest.mark.parametrize("stride", [1, 2])
def test_m_has_one_1_in_each_row_and_its_inverse_gives_the_columns(stride: int) -> None:
    shape, kernel = (2, 5, 4), (3, 2)
    matrix = ref.im2col_matrix(shape, kernel, stride)
    dense = matrix.dense()
    assert (dense.sum(axis=1) == 1).all()
    assert set(np.unique(dense)) == {0, 1}
    x = draw(-9, 10, shape)
    np.testing.assert_array_equal(dense @ ref.vec(x), ref.vec(ref.phi(x, kernel, stride)))
    height = ref.phi(x, kernel, stride).shape[0]
    for d, i, j in np.ndindex(shape):
        rows = [p + height * q for p, q in ref.m_inverse((d, i, j), shape, kernel, stride)]
        assert rows == np.flatnonzero(dense[:, d * 20 + j * 5 + i]).tolist()


@pytest.mark.seed("A27", "G9", "E16")
def test_the_convolution_matrix_is_toeplitz_in_blocks_at_stride_1_only() -> None:
    image, kernel = draw(1, 10, (5, 7)), draw(1, 10, (2, 3))
    for stride, toeplitz in ((1, True), ((2, 1), False), ((1, 2), False)):
        matrix = ref.toeplitz_matrix(kernel, image.shape, stride)
        y = correlate(image, kernel, stride)
        np.testing.assert_array_equal(matrix @ image.ravel(), y.ravel())
        blocks = matrix.dense().reshape(y.shape[0], y.shape[1], 5, 7).swapaxes(1, 2)
        inner = all((block[1:, 1:] == block[:-1, :-1]).all() for row in blocks for block in row)
        outer = (blocks[1:, 1:] == blocks[:-1, :-1]).all()
        assert (inner and outer) == toeplitz


@pytest.mark.seed("A27", "S3:4.4", "S3:4.5", "S3:4.6", "E28")
@pytest.mark.parametrize("stride", [None, 1, (2, 1)])
def test_the_pools_matrix_selects_and_its_transpose_adds_up(stride: Any) -> None:
    x = draw(-99, 100, (2, 4, 6))
    kernel = (2, 3)
    down, right = kernel if stride is None else (stride, stride) if stride == 1 else stride
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, (1, 2))[:, ::down, ::right]
    flat = windows.reshape(*windows.shape[:3], 6)
    matrix = ref.pool_matrix(flat.argmax(axis=3), x.shape, kernel, stride)
    y = flat.max(axis=3)
    np.testing.assert_array_equal(matrix @ ref.vec(x), ref.vec(y))
    dense = matrix.dense()
    assert ((dense == 1).sum(axis=1) == 1).all()
    assert dense.sum() == y.size

    dy = draw(-9, 10, y.shape)
    dx = np.zeros(x.shape)
    for d, p, q in np.ndindex(y.shape):
        i, j = np.argwhere(windows[d, p, q] == y[d, p, q])[0]
        dx[d, p * down + i, q * right + j] += dy[d, p, q]
    np.testing.assert_array_equal(ref.unvec(matrix.T @ ref.vec(dy), x.shape), dx)


def test_a_sparse_matrix_is_its_dense_form() -> None:
    """Elements at the same place add up."""
    matrix = ref.SparseMatrix((0, 1, 1, 0), (2, 0, 2, 2), (5.0, 7.0, -1.0, 2.0), (2, 3))
    dense = [[0, 0, 7], [7, 0, -1]]
    np.testing.assert_array_equal(matrix.dense(), dense)
    np.testing.assert_array_equal(matrix.T.dense(), np.transpose(dense))
    other = draw(-9, 10, (3, 2))
    np.testing.assert_array_equal(matrix @ other, np.array(dense) @ other)
    with pytest.raises(ShapeError, match=r"\(2, 3\) matrix cannot multiply an array of \(2,\)"):
        matrix @ [1, 2]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="order must be 'C' or 'F', got 'A'"):
        ref.im2col(np.zeros((3, 3)), 2, order="A")
    with pytest.raises(ShapeError, match="window of 4x2 does not fit into a map of 3x3"):
        ref.phi(np.zeros((3, 3)), (4, 2))
