"""S3's identities (2.9) to (2.30) on its example G1 and on two channels with three filters."""

import numpy as np
import pytest

from gpucnn.reference import identities as ref
from gpucnn.reference.matrices import im2col_matrix, kernel_matrix, phi, unvec, vec, window_map
from tests.oracles.convolution import Convolution

draw = np.random.default_rng(7).integers


def g1() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.array([[[1.0, 3, 1, 4], [2, 8, 5, 1], [3, 2, 0, 3]]])
    return x, np.array([[[[1.0, 0], [-1, 1]]]]), np.array([[[1.0, 2, 3], [4, 5, 6]]])


def channels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two channels, three filters, and no two sizes alike: 5x4 and 3x2 give 3x3."""
    shapes = (2, 5, 4), (3, 2, 3, 2), (3, 3, 3)
    x, w, dy = (draw(-9, 10, shape).astype(float) for shape in shapes)
    return x, w, dy


Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(params=[g1, channels], ids=["G1", "two channels"])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param()


def equal(sides: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = sides
    assert left.shape == right.shape
    np.testing.assert_array_equal(left, right)


@pytest.mark.seed("I1", "S3:2.10", "S3:2.11")
def test_kronecker_products() -> None:
    a, x, b = (draw(-9, 10, shape).astype(float) for shape in ((2, 3), (3, 4), (4, 5)))
    np.testing.assert_array_equal(ref.kronecker(a, b), np.kron(a, b))
    equal(ref.transpose_of_kronecker(a, b))
    equal(ref.vec_of_product(a, x, b))


@pytest.mark.seed("I1", "S3:2.6", "S3:2.8", "S3:2.23")
def test_shapes(case: Case) -> None:
    x, w, dy = case
    (D, H, W), (filters, _, high, wide), (_, P, Q) = x.shape, w.shape, dy.shape
    assert (H - high + 1, W - wide + 1) == (P, Q)
    assert phi(x, (high, wide)).shape == (P * Q, high * wide * D)
    assert kernel_matrix(w).shape == (high * wide * D, filters)
    assert im2col_matrix(x.shape, (high, wide)).shape == (P * Q * high * wide * D, H * W * D)
    assert ref.columns(dy).shape == (P * Q, filters)


@pytest.mark.seed("I1", "S3:2.3", "S3:2.4", "S3:2.9", "S3:2.12", "S3:2.13", "E25")
def test_forward_in_all_its_forms(case: Case) -> None:
    x, w, _ = case
    y = Convolution((1, *x.shape), w.shape).forward(x[None], w)[0]
    for sides in (
        ref.forward_product(x, w),
        ref.output_from_kernels(x, w),
        ref.output_from_windows(x, w),
    ):
        equal(sides)
        np.testing.assert_array_equal(unvec(sides[1], y.shape), y)
    equal(ref.correlation_by_im2col(x[0], w[0, 0]))


@pytest.mark.seed("I1", "S3:2.14", "S3:2.15", "S3:2.16", "S3:2.17", "E26")
def test_indices_of_phi(case: Case) -> None:
    """m sends (p, q) to the place whose value φ holds: many to one, onto every place."""
    x, w, dy = case
    (_, _, high, wide), (_, P, _) = w.shape, dy.shape
    matrix, reached = phi(x, (high, wide)), []
    for d, i, j, i_next, j_next in np.ndindex(x.shape[0], high, wide, *dy.shape[1:]):
        p, q = i_next + P * j_next, high * wide * d + high * j + i
        place = window_map(p, q, x.shape, (high, wide))
        assert place == (d, i + i_next, j + j_next)
        assert matrix[p, q] == x[place]
        reached.append(place)
    assert set(reached) == set(np.ndindex(x.shape))
    assert len(reached) > len(set(reached))


@pytest.mark.seed("I1", "S3:2.18", "S3:2.19", "S3:2.20", "S3:2.21")
def test_weight_gradient(case: Case) -> None:
    x, w, dy = case
    sides = ref.weight_gradient(x, w, dy)
    equal(sides)
    dw = Convolution((1, *x.shape), w.shape).backward_weight(dy[None], x[None])
    np.testing.assert_array_equal(sides[1], kernel_matrix(dw))


@pytest.mark.seed("I1", "S3:2.24", "S3:2.25", "E27")
def test_the_input_jacobian_is_the_change_of_the_output(case: Case) -> None:
    x, w, _ = case
    equal(ref.windows_from_input(x, w))
    jacobian = ref.input_jacobian(x, w)
    for k, unit in enumerate(np.eye(x.size)):
        change = ref.forward(x + unvec(unit, x.shape), w) - ref.forward(x, w)
        np.testing.assert_array_equal(jacobian[:, k], vec(change))


@pytest.mark.seed("I1", "S3:2.22", "S3:2.26", "S3:2.27", "S3:2.28", "S3:2.29", "S3:2.30")
def test_input_gradient(case: Case) -> None:
    x, w, dy = case
    sides = ref.input_gradient(x, w, dy)
    equal(sides)
    dx = Convolution((1, *x.shape), w.shape).backward_input(dy[None], w)[0]
    np.testing.assert_array_equal(unvec(sides[1], x.shape), dx)
    np.testing.assert_array_equal(ref.input_gradient_by_places(x, w, dy), dx)
