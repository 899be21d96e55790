"""S1's graph and the chain rule of vectors."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.reference import chain_rule, convolution
from tests.ops.harness import assert_gradient


@pytest.mark.seed("Q1", "S1:1", "E22")
def test_the_gates_of_s1() -> None:
    """z = -4, as in S1's figures: f = -12. Its text's z = 4 would give 12."""
    got = chain_rule.gates(-2, 5, -4)
    assert got == (3, -12, -4, 3, -4, -4)
    assert chain_rule.gates(-2, 5, 4).f == 12
    point = np.array([-2.0, 5, -4])
    gradient = np.array([got.df_dx, got.df_dy, got.df_dz])
    assert_gradient(lambda v: chain_rule.gates(*v).f, point, gradient, curvature=0)


@pytest.mark.seed("S3:1.1", "S3:1.2", "S3:1.3", "S3:1.4", "S1:3.1", "S1:3.2")
def test_the_chain_rule_gives_a_convolutions_gradients() -> None:
    """z = Σ dy·O, O = X ⊗ F: the Jacobians of O by X and by F, each times ∂z/∂O.

    O is linear in either: the differences are exact but for rounding.
    """
    draw = np.random.default_rng(0).integers
    x, f, dy = draw(-5, 6, (3, 3)), draw(-5, 6, (2, 2)), draw(-5, 6, (2, 2))
    by_f = chain_rule.jacobian(lambda f: convolution.correlate(x, f), f)
    by_x = chain_rule.jacobian(lambda x: convolution.correlate(x, f), x)
    assert (by_f.shape, by_x.shape) == ((4, 4), (4, 9))
    # Rounding of sums of four products up to 25, over the step, times four δ up to 5.
    allowed = 20 * 64 * np.finfo(np.float64).eps * 100 * 2**17
    dw = convolution.conv2d_backward_weight(dy[None, None], x[None, None], (1, 1, 2, 2))
    dx = convolution.conv2d_backward_input(dy[None, None], f[None, None], (1, 1, 3, 3))
    assert abs(chain_rule.through(dy.ravel(), by_f) - dw.ravel()).max() <= allowed
    assert abs(chain_rule.through(dy.ravel(), by_x) - dx.ravel()).max() <= allowed
    # (1.1): of a scalar function, one row.
    row = chain_rule.jacobian(lambda x: (dy * convolution.correlate(x, f)).sum(), x)
    assert row.shape == (1, 9)
    assert abs(row - dx.ravel()).max() <= allowed


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"jacobian must be \(len\(dz_dx\), ...\)"):
        chain_rule.through(np.zeros(3), np.zeros((2, 3)))
