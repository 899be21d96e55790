"""E1 to E7: what S4's program gets wrong, against differences; the reference and Ops are right.

Each test writes the one faulty step down and leaves the rest as the reference has it.
"""

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.reference.loops import (
    _insert_zeros,
    conv_backward,
    conv_backward_2,
    conv_forward,
    zero_pad,
)
from tests.ops.harness import call, numeric_gradient
from tests.seeds.s4_layout import Case, Gradients, exact, forward


def both_are_right(ops: Ops, case: Case) -> None:
    """The two routes of the reference, and the Ops method, give the differences."""
    true = case.by_differences()
    exact(Gradients(*conv_backward(case.dZ, case.cache())), true)
    exact(Gradients(*conv_backward_2(case.dZ, case.cache())), true)
    exact(case.by_ops(ops), true)


def weight_gradient(case: Case, delta: np.ndarray, strides: tuple[int, int]) -> np.ndarray:
    """S4's call for dw, (C_prev, height, width, C): A_prev as images, delta as filters."""
    filters = np.transpose(delta, (1, 2, 0, 3))
    bias = np.zeros((1, 1, 1, filters.shape[3]))
    return conv_forward(np.swapaxes(case.A, 0, 3), filters, bias, case.padding, strides)[0]


@pytest.mark.seed("E1")
def test_e1_a_strided_dw_has_another_shape(ops: Ops) -> None:
    case = Case.of((5, 5), (3, 3), stride=2)
    seed = weight_gradient(case, case.dZ, case.strides)
    assert seed.shape[1:3] == (2, 2)
    both_are_right(ops, case)


@pytest.mark.seed("E1")
def test_e1_or_the_right_shape_with_other_values(ops: Ops) -> None:
    case = Case.of((7, 7), (3, 3), stride=2, padding=1, samples=1)
    seed = np.transpose(weight_gradient(case, case.dZ, case.strides), (1, 2, 0, 3))
    true = case.by_differences().dW
    assert seed.shape == true.shape
    assert (seed != true).any()
    dilated = weight_gradient(case, _insert_zeros(case.dZ, case.strides), (1, 1))
    np.testing.assert_array_equal(np.transpose(dilated, (1, 2, 0, 3)), true)
    both_are_right(ops, case)


@pytest.mark.seed("E2")
def test_e2_the_swap_of_axes_transposes_the_filters(ops: Ops) -> None:
    """Even at stride 1 without padding."""
    case = Case.of((4, 4), (3, 3))
    dw, true = weight_gradient(case, case.dZ, (1, 1)), case.by_differences().dW
    seed = np.swapaxes(dw, 0, 2)
    np.testing.assert_array_equal(seed, np.swapaxes(true, 0, 1))
    assert (seed != true).any()
    np.testing.assert_array_equal(np.transpose(dw, (1, 2, 0, 3)), true)
    both_are_right(ops, case)


@pytest.mark.seed("E3")
def test_e3_the_bias_of_da_has_the_channels_of_the_input(ops: Ops) -> None:
    case = Case.of((4, 4), (2, 2), depth=3, count=2)
    da = case.by_differences().dA
    with pytest.raises(ValueError, match="could not be broadcast"):
        da + np.zeros((1, 1, 1, case.W.shape[3]))
    assert (da + np.zeros((1, 1, 1, case.A.shape[3]))).shape == da.shape
    both_are_right(ops, case)


@pytest.mark.seed("E4", "C4")
def test_e4_dividing_some_gradients_by_m_fits_no_loss(ops: Ops) -> None:
    """dw/m and db/m go with the mean over m samples, the undivided dA with their sum."""
    case = Case.of((4, 4), (2, 2), samples=2)
    m = len(case.A)
    total = case.by_differences()
    mean = case._replace(dZ=case.dZ / m).by_differences()
    seed = Gradients(total.dA, total.dW / m, total.db / m)
    for true in (total, mean):
        assert any((a != b).any() for a, b in zip(seed, true, strict=True))
    both_are_right(ops, case)
    # Where the loss divides, once, every gradient is that of the mean.
    both_are_right(ops, case._replace(dZ=case.dZ / m))
    logits, labels = np.asarray([[1.0, 2, 3], [0, 2, 1]]), np.asarray([2, 0], np.int32)
    sums, means = (
        call(ops, "softmax_cross_entropy", logits, labels, reduction=reduction)[1]
        for reduction in ("sum", "mean")
    )
    np.testing.assert_array_equal(means * m, sums)


@pytest.mark.seed("E5")
def test_e5_filters_need_not_be_square(ops: Ops) -> None:
    case = Case.of((5, 6), (2, 3))
    f, f, *_ = case.W.shape
    turned = np.swapaxes(np.flip(case.W, (0, 1)), 2, 3)
    seed, _ = conv_forward(zero_pad(case.dZ, (f - 1, f - 1)), turned, np.zeros((1, 1, 1, 2)))
    assert seed.shape[1:3] == (7, 6)
    assert case.by_differences().dA.shape[1:3] == (5, 6)
    both_are_right(ops, case)


@pytest.mark.seed("E6", "A6")
def test_e6_da_has_the_size_of_the_input(ops: Ops) -> None:
    case = Case.of((6, 6), (3, 3), stride=2, samples=1)
    padded = zero_pad(_insert_zeros(case.dZ, case.strides), (2, 2))
    turned = np.swapaxes(np.flip(case.W, (0, 1)), 2, 3)
    seed, _ = conv_forward(padded, turned, np.zeros((1, 1, 1, 2)))
    true = case.by_differences().dA
    assert seed.shape[1:3] == (5, 5)
    assert true.shape[1:3] == (6, 6)
    np.testing.assert_array_equal(seed, true[:, :5, :5])
    assert not true[:, 5].any()
    assert not true[:, :, 5].any()
    both_are_right(ops, case)


@pytest.mark.seed("E7")
def test_e7_windows_add_up_and_the_factor_is_dz(ops: Ops) -> None:
    """The docstring's assignment, and its Z, are wrong; the code below it is not."""
    case = Case.of((4, 4), (2, 2), samples=1)
    Z = forward(case.A, case.W, np.zeros(2), *case.settings)
    assigned, from_z = np.zeros_like(case.A), np.zeros_like(case.A)
    for _, h, w, c in np.ndindex(*Z.shape):
        window = np.s_[0, h : h + 2, w : w + 2]
        assigned[window] = case.dZ[0, h, w, c] * case.W[:, :, :, c]
        from_z[window] += Z[0, h, w, c] * case.W[:, :, :, c]
    true = case.by_differences().dA
    assert (assigned != true).any()
    assert (from_z != true).any()
    both_are_right(ops, case)


def test_the_differences_are_exact() -> None:
    """Whole numbers and a step that is a power of two: what the tests above rely on."""
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(numeric_gradient(lambda a: float((a * x).sum()), x), x)
