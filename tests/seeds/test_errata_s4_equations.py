"""E8 to E11: S4's equations (3), (16), (19), (7.2) and the example of (17), written out."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.reference.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    convolve,
    correlate,
)
from tests.ops.harness import call, numeric_gradient
from tests.seeds.examples import A, K, corr, equal, integers

SIZE, KERNEL, OUT = 5, 3, 3
"""S4's example: a 5x5 map, a 3x3 kernel, a 3x3 result."""
W = integers((KERNEL, KERNEL), "float64", seed=1)
DELTA = integers((OUT, OUT), "float64", seed=2)


def true_delta() -> np.ndarray:
    """The gradient of Σ z·δ by the 5x5 map, exact."""
    x = integers((SIZE, SIZE), "float64")

    def loss(x: np.ndarray) -> float:
        places = product(range(OUT), range(OUT))
        return float(sum(DELTA[p, q] * (x[p : p + 3, q : q + 3] * W).sum() for p, q in places))

    return numeric_gradient(loss, x)


def summed(x: int, y: int, last: int) -> float:
    """(14) over x' and y' from (16)'s lower bound to min(last, x) and min(last, y)."""
    rows = range(max(0, x + 1 - KERNEL), min(last, x) + 1)
    columns = range(max(0, y + 1 - KERNEL), min(last, y) + 1)
    return float(sum(DELTA[p, q] * W[x - p, y - q] for p, q in product(rows, columns)))


def ours_is(ops: Ops, expected: np.ndarray) -> None:
    dy, w, shape = DELTA[None, None], W[None, None], (1, 1, SIZE, SIZE)
    equal(conv2d_backward_input(dy, w, shape), expected)
    equal(call(ops, "conv2d_backward_input", dy, w, shape), expected)


@pytest.mark.seed("E8", "S4:16", "S4:14")
def test_e8_the_upper_bound_is_the_outputs(ops: Ops) -> None:
    """With H^l - 1 = 4, the map's, x' leaves the 3x3 δ; with H^{l+1} - 1 = 2 the sum is right."""
    with pytest.raises(IndexError):
        summed(4, 4, last=SIZE - 1)
    true = true_delta()
    right = [[summed(x, y, last=OUT - 1) for y in range(SIZE)] for x in range(SIZE)]
    equal(true, right)
    ours_is(ops, true)


@pytest.mark.seed("E9", "S4:17")
def test_e9_the_middle_sums_over_all_nine(ops: Ops) -> None:
    """δ_{2,2} by x' in [0, 1] lacks a row; (17) itself gives [0, 2]."""
    true = true_delta()
    seed = sum(DELTA[p, q] * W[2 - p, 2 - q] for p, q in product(range(2), range(3)))
    right = sum(DELTA[p, q] * W[2 - p, 2 - q] for p, q in product(range(3), range(3)))
    assert seed != true[2, 2]
    assert right == true[2, 2] == summed(2, 2, last=2)
    ours_is(ops, true)


@pytest.mark.seed("E10", "S4:19", "S4:7.1")
def test_e10_one_bias_a_filter_whose_gradient_is_a_sum(ops: Ops) -> None:
    """(19) equates the sum of δ with δ at one place: true of a bias for each place alone."""
    z = integers((2, 3, 4, 5), "float64", seed=3)
    delta = integers(z.shape, "float64", seed=4)
    each = numeric_gradient(lambda b: float(((z + b) * delta).sum()), np.zeros(z.shape[2:]))
    equal(each, delta.sum(axis=(0, 1)))
    db = numeric_gradient(lambda b: float(((z + b[:, None, None]) * delta).sum()), np.zeros(3))
    for c in range(3):
        assert (delta[:, c] != db[c]).all()
    equal(conv2d_backward_bias(delta), db)
    equal(call(ops, "conv2d_backward_bias", delta), db)


@pytest.mark.seed("E10", "S4:7.2")
def test_e10_the_output_has_a_size_of_its_own(ops: Ops) -> None:
    """(7.2) lets x run over H^l, which S4 names the input's height: the last windows stick out."""
    x = integers((SIZE, SIZE), "float64")

    def place(p: int, q: int) -> float:
        return float(sum(W[m, n] * x[p + m, q + n] for m, n in product(range(3), range(3))))

    with pytest.raises(IndexError):
        [place(p, q) for p, q in product(range(SIZE), range(SIZE))]
    right = [[place(p, q) for q in range(OUT)] for p in range(OUT)]
    equal(correlate(x, W), right)
    equal(corr(ops, x, W, "float64"), right)


@pytest.mark.seed("E11", "C1", "S4:2", "S4:3")
def test_e11_the_turned_kernel_is_read_from_its_other_corner(ops: Ops) -> None:
    """K(-m, -n) is outside for all but m = n = 0; counted modulo 2, it is not turned at all."""
    image, kernel = np.asarray(A), np.asarray(K)
    outside = [(m, n) for m, n in product(range(2), range(2)) if min(-m, -n) < 0]
    assert len(outside) == 3

    def by(cell: Callable[[int, int], tuple[int, int]]) -> list[list[int]]:
        taps = list(product(range(2), range(2)))
        return [
            [sum(image[i + m, j + n] * kernel[cell(m, n)] for m, n in taps) for j in range(3)]
            for i in range(2)
        ]

    assert by(lambda m, n: (-m, -n)) == [[7, 0, -3], [1, 6, 8]]
    right = [[6, 7, -2], [-4, 3, 7]]
    assert by(lambda m, n: (1 - m, 1 - n)) == right
    # (2) itself: I(i - m, j - n), i and j from 1, where the whole kernel meets the image.
    backwards = [
        [
            sum(image[i - m, j - n] * kernel[m, n] for m, n in product(range(2), range(2)))
            for j in range(1, 4)
        ]
        for i in range(1, 3)
    ]
    assert backwards == right
    equal(convolve(A, K), right)
    equal(corr(ops, A, np.rot90(kernel, 2), "float64"), right)
