"""The sources' matrices and layouts against the operations of every device."""

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.reference import identities, layout, loops, matrices
from gpucnn.reference.convolution import convolve, rot180, zero_pad
from tests.ops.harness import call
from tests.seeds.examples import K9, A, K, backward, corr, equal, grid, integers, maps


@pytest.mark.seed("G2", "C8", "S3:2.2", "S3:2.3", "E25")
def test_both_orders_of_im2col() -> None:
    by_columns = [
        [1, 2, 3, 8, 1, 5],
        [2, 3, 8, 2, 5, 0],
        [3, 8, 1, 5, 4, 1],
        [8, 2, 5, 0, 1, 3],
    ]
    by_rows = [
        [1, 3, 1, 2, 8, 5],
        [3, 1, 4, 8, 5, 1],
        [2, 8, 5, 3, 2, 0],
        [8, 5, 1, 2, 0, 3],
    ]
    matrix = matrices.im2col(A, 2, order="F")
    equal(matrix, by_columns)
    equal(matrices.vec(K), [1, -1, 0, 1])
    equal(matrix.T @ matrices.vec(K), [7, 1, 0, 6, -3, 8])
    equal(matrices.im2col(A, 2, order="C"), by_rows)
    equal(np.asarray([1, 0, -1, 1]) @ np.asarray(by_rows), [7, 0, -3, 1, 6, 8])


@pytest.mark.seed("G2", "C8", "A28")
def test_one_hot_filters_read_im2col_out_of_a_device(ops: Ops, dtype: str) -> None:
    pick = np.eye(4, dtype=dtype).reshape(4, 1, 2, 2)
    columns = call(ops, "conv2d_forward", maps(A, dtype), pick)
    equal(columns.reshape(4, 6), matrices.im2col(A, 2))


@pytest.mark.seed("A28", "S3:2.9")
def test_the_matrix_product_is_the_convolution(ops: Ops, dtype: str) -> None:
    """im2col in either order times the filters in the same order, with channels and a stride."""
    x, w = integers((1, 2, 5, 7), dtype), integers((3, 2, 3, 2), dtype, 1)
    y = call(ops, "conv2d_forward", x, w, stride=(2, 1))
    product = w.reshape(3, -1) @ matrices.im2col(x[0], (3, 2), (2, 1))
    equal(product, y.reshape(3, -1))
    equal(matrices.vec(matrices.phi(x[0], (3, 2), (2, 1)) @ matrices.kernel_matrix(w)),
          matrices.vec(y[0]))  # fmt: skip


@pytest.mark.seed("G9", "A27")
def test_the_toeplitz_matrix(ops: Ops, dtype: str) -> None:
    """C is the matrix of the map x -> y: forward is C, the input gradient is Cᵀ."""
    basis = np.eye(12, dtype=dtype).reshape(12, 1, 3, 4)
    matrix = call(ops, "conv2d_forward", basis, maps(K, dtype)).reshape(12, 6).T
    equal(matrix[0], [1, 0, 0, 0, -1, 1, 0, 0, 0, 0, 0, 0])
    equal(matrix[3], [0, 0, 0, 0, 1, 0, 0, 0, -1, 1, 0, 0])
    equal(matrix @ np.ravel(A), [7, 0, -3, 1, 6, 8])
    rows = np.eye(6, dtype=dtype).reshape(6, 1, 2, 3)
    transposed = call(ops, "conv2d_backward_input", rows, maps(K, dtype), (6, 1, 3, 4))
    equal(transposed.reshape(6, 12), matrix)
    equal(matrices.toeplitz_matrix(K, (3, 4)).dense(), matrix)


@pytest.mark.seed("A27", "G3", "S3:2.24", "S3:2.28")
def test_m_and_its_transpose(ops: Ops, dtype: str) -> None:
    """M of A and K is 24x12, one 1 a row; its transpose, and C's, give G3's gradient."""
    matrix = matrices.im2col_matrix((1, 3, 4), 2)
    dense = matrix.dense()
    assert dense.shape == (24, 12)
    equal((dense != 0).sum(axis=1), np.ones(24))
    counts = matrices.unvec(dense.sum(axis=0), (3, 4))
    equal(counts, [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]])
    equal(matrix @ matrices.vec(A), matrices.vec(matrices.phi(A, 2)))

    dy = grid(2, 3, 1, dtype)
    dx, dw, _ = backward(ops, maps(A, dtype), maps(K, dtype), dy)
    dY = matrices.vec(dy[0, 0])
    equal(matrices.unvec(matrix.T @ np.outer(matrices.vec(K), dY).ravel(), (3, 4)), dx[0, 0])
    equal(matrices.toeplitz_matrix(K, (3, 4)).T @ dy.ravel(), dx.ravel())
    equal(matrices.phi(A, 2).T @ dY, [88, 55, 80, 47])
    equal(matrices.vec(dw[0, 0]), [88, 55, 80, 47])


@pytest.mark.seed("I1", "S3:2.9", "S3:2.13", "S3:2.21", "S3:2.28", "S3:2.30")
@pytest.mark.parametrize("example", ["G1", "two channels, three filters"])
def test_s3s_identities_hold_for_the_devices_results(ops: Ops, dtype: str, example: str) -> None:
    """y, dw and dx of a device on one side, φ(x), C and M on the other."""
    if example == "G1":
        x, w, dy = maps(A, dtype), maps(K, dtype), grid(2, 3, 1, dtype)
    else:
        shapes = (1, 2, 4, 5), (3, 2, 2, 3), (1, 3, 3, 3)
        x, w, dy = (integers(shape, dtype, seed) for seed, shape in enumerate(shapes))
    (_, D, H, W), (filters, _, high, wide), (_, _, P, Q) = x.shape, w.shape, dy.shape
    windows, C = matrices.phi(x[0], (high, wide)), matrices.kernel_matrix(w)
    M = matrices.im2col_matrix((D, H, W), (high, wide))
    assert windows.shape == (P * Q, high * wide * D)
    assert C.shape == (high * wide * D, filters)
    assert M.shape == (P * Q * high * wide * D, H * W * D)

    y = call(ops, "conv2d_forward", x, w)
    dx, dw, _ = backward(ops, x, w, dy)
    shares = identities.columns(dy[0]) @ C.T
    equal(matrices.vec(windows @ C), matrices.vec(y[0]))
    equal(identities.output_from_kernels(x[0], w)[1], matrices.vec(y[0]))
    equal(identities.output_from_windows(x[0], w)[1], matrices.vec(y[0]))
    equal(windows.T @ identities.columns(dy[0]), matrices.kernel_matrix(dw))
    equal(M.T @ matrices.vec(shares), matrices.vec(dx[0]))
    equal(identities.input_gradient_by_places(x[0], w, dy[0]), dx[0])


@pytest.mark.seed("A27", "S3:4.3", "S3:4.4", "S3:4.5")
@pytest.mark.parametrize("stride", [2, 1])
def test_s_is_the_pool_and_its_transpose_the_way_back(ops: Ops, dtype: str, stride: int) -> None:
    x = np.random.default_rng(0).permutation(40).reshape(1, 2, 4, 5)[:, :, :, :4].astype(dtype)
    kw = {"kernel_size": 2, "stride": stride}
    y, argmax = call(ops, "max_pool2d_forward", x, **kw)
    matrix = matrices.pool_matrix(argmax[0], x.shape[1:], 2, stride)
    equal((matrix.dense() != 0).sum(axis=1), np.ones(y.size))
    equal(matrix @ matrices.vec(x[0]), matrices.vec(y[0]))
    dy = integers(y.shape, dtype)
    dx = call(ops, "max_pool2d_backward", dy, argmax, x.shape, **kw)
    equal(matrix.T @ matrices.vec(dy[0]), matrices.vec(dx[0]))


@pytest.mark.seed("A29", "C2")
@pytest.mark.parametrize("conv_backward", [loops.conv_backward, loops.conv_backward_2])
def test_s4s_program_agrees_with_every_device(ops: Ops, dtype: str, conv_backward: object) -> None:
    """Its NHWC and HWIO are converted there and back."""
    x, w = integers((2, 2, 5, 6), dtype), integers((3, 2, 3, 2), dtype, 1)
    b, kw = integers(3, dtype, 2), {"stride": (2, 1), "padding": (1, 2)}
    y = call(ops, "conv2d_forward", x, w, b, **kw)
    Z, cache = loops.conv_forward(
        layout.nchw_to_nhwc(x), layout.kcrs_to_hwio(w), b.reshape(1, 1, 1, 3), (1, 2), (2, 1)
    )
    equal(layout.nhwc_to_nchw(Z), y)
    dy = integers(y.shape, dtype, 3)
    dA, dW, db = conv_backward(layout.nchw_to_nhwc(dy), cache)  # type: ignore[operator]
    dx, dw, dbias = backward(ops, x, w, dy, **kw)
    equal(layout.nhwc_to_nchw(dA), dx)
    equal(layout.hwio_to_kcrs(dW), dw)
    equal(db.ravel(), dbias)


@pytest.mark.seed("C1", "E11", "S4:2")
def test_a_turned_filter_makes_a_device_convolve(ops: Ops, dtype: str) -> None:
    """True convolution commutes; cross-correlation does not."""
    equal(convolve(A, K), [[6, 7, -2], [-4, 3, 7]])
    equal(corr(ops, A, rot180(K), dtype), convolve(A, K))
    assert (corr(ops, A, K, dtype)[0, 0] != convolve(A, K)).any()
    full = convolve(zero_pad(A, 2), K9)
    equal(corr(ops, zero_pad(A, 2), rot180(K9), dtype), full)
    equal(corr(ops, zero_pad(K9, (2, 3)), rot180(A), dtype), full)
