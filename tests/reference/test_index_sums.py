"""S4's sum over the outputs that read a cell, against single products and the drawn form."""

import numpy as np
import pytest

from gpucnn.reference.convolution import full_correlation, rot180
from gpucnn.reference.index_sums import delta_below, outputs_that_read
from tests.oracles.convolution import Convolution

draw = np.random.default_rng(8).integers


@pytest.mark.seed("S4:8", "S4:9", "S4:10", "S4:11", "S4:12", "S4:13", "S4:14", "S4:16", "E8")
def test_s4s_sum_over_the_outputs_is_the_gradient() -> None:
    """Cell by cell over the outputs that read it; and as the full correlation that (15) claims."""
    delta, kernel = draw(-9, 10, (3, 5)), draw(-9, 10, (2, 4))
    oracle = Convolution((1, 1, 4, 8), (1, 1, 2, 4))
    expected = oracle.backward_input(delta[None, None], kernel[None, None])[0, 0]
    np.testing.assert_array_equal(delta_below(delta, kernel), expected)
    np.testing.assert_array_equal(
        full_correlation(delta, rot180(kernel)), delta_below(delta, kernel)
    )


@pytest.mark.seed("S4:17", "E9")
def test_s4s_example_of_the_outputs_that_read_a_cell() -> None:
    """A 5x5 input and a 3x3 filter: x' in [max(0, x-2), min(2, x)]; for x = 2 it is [0, 2]."""
    ranges = [list(outputs_that_read(x, 3, 3)) for x in range(5)]
    assert ranges == [[0], [0, 1], [0, 1, 2], [1, 2], [2]]
    windows = [range(above, above + 3) for above in range(3)]
    assert ranges == [[a for a in range(3) if x in windows[a]] for x in range(5)]
