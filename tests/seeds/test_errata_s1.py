"""E22 and E23: the slips in S1's examples, written out."""

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.reference.chain_rule import gates
from gpucnn.reference.convolution import full_correlation, rot180
from tests.ops.harness import call, numeric_gradient
from tests.seeds.examples import equal, integers, maps


@pytest.mark.seed("E22", "Q1", "S1:1")
def test_e22_z_is_minus_4() -> None:
    """With the text's z = 4 f would be +12 and the gradients those of no figure."""

    def f(v: np.ndarray) -> float:
        x, y, z = v
        return float((x + y) * z)

    seed, right = np.asarray([-2.0, 5, 4]), np.asarray([-2.0, 5, -4])
    assert f(seed) == 12
    equal(numeric_gradient(f, seed), [4, 4, 3])
    assert f(right) == -12
    equal(numeric_gradient(f, right), [-4, -4, 3])
    ours = gates(-2, 5, -4)
    assert (ours.q, ours.f) == (3, -12)
    assert (ours.df_dx, ours.df_dy, ours.df_dz) == (-4, -4, 3)


@pytest.mark.seed("E23", "Q1", "S1:1")
def test_e23_the_sum_gate_has_two_sides() -> None:
    """∂q/∂x is listed twice: without ∂q/∂y, y would have no gradient."""
    ours = gates(-2, 5, -4)
    dq = numeric_gradient(lambda v: float(v[0] + v[1]), np.asarray([-2.0, 5]))
    equal(dq, [1, 1])
    assert ours.df_dy == ours.df_dq * dq[1]


@pytest.mark.seed("E23", "A4", "S1:3.2")
def test_e23_the_nine_gradients_end_with_x33(ops: Ops) -> None:
    """S1 ends with X22 = O22·F22, X22's second line, and has none for X33."""
    F, dO = integers((2, 2), "float64", seed=1), integers((2, 2), "float64", seed=2)
    (o11, o12), (o21, o22) = dO
    (f11, f12), (f21, f22) = F
    corner = o22 * f22
    right = [
        [o11 * f11, o11 * f12 + o12 * f11, o12 * f12],
        [o11 * f21 + o21 * f11, o11 * f22 + o12 * f21 + o21 * f12 + o22 * f11,
         o12 * f22 + o22 * f12],
        [o21 * f21, o21 * f22 + o22 * f21, corner],
    ]  # fmt: skip

    def loss(x: np.ndarray) -> float:
        return float(
            sum(dO[i, j] * (x[i : i + 2, j : j + 2] * F).sum() for i, j in np.ndindex(2, 2))
        )

    true = numeric_gradient(loss, integers((3, 3), "float64"))
    equal(true, right)
    assert true[1, 1] != corner
    equal(full_correlation(dO, rot180(F)), true)
    dx = call(ops, "conv2d_backward_input", maps(dO, "float64"), maps(F, "float64"), (1, 1, 3, 3))
    equal(dx, true)
