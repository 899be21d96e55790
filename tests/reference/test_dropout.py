"""Dropout masks: what goes, how the rest is scaled, and how likely a cell is kept."""

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference import dropout
from tests.ops.harness import normal


@pytest.mark.seed("A23")
def test_elements() -> None:
    mask = dropout.element_mask([[True, False], [False, False]], 0.75)
    np.testing.assert_array_equal(mask, [[0, 4], [4, 4]])
    np.testing.assert_array_equal(dropout.dropout([[1, 2], [3, 4]], mask), [[0, 8], [12, 16]])
    # Backward has the same mask: y is linear in x, and mask its slope.
    np.testing.assert_array_equal(dropout.dropout_backward(np.ones((2, 2)), mask), mask)
    assert (dropout.element_mask(np.zeros(5, bool), 0) == 1).all()


@pytest.mark.seed("A23")
def test_channels_go_whole() -> None:
    mask = dropout.channel_mask([[True, False, False]], 0.5)
    assert mask.shape == (1, 3, 1, 1)
    x = normal((1, 3, 4, 5), "float64")
    y = dropout.dropout(x, mask)
    assert not y[:, 0].any()
    np.testing.assert_array_equal(y[:, 1:], 2 * x[:, 1:])
    np.testing.assert_array_equal(dropout.dropout_backward(x, mask), y)


@pytest.mark.seed("A23")
def test_blocks_are_squares_cut_at_the_border() -> None:
    corners = np.zeros((1, 1, 6, 7), bool)  # maps of 4x5, squares of 3
    corners[0, 0, 3, 3] = True  # rows 1-3, columns 1-3
    kept = dropout.block_mask(corners, 0, 3)[0, 0]
    expected = np.ones((4, 5))
    expected[1:4, 1:4] = 0
    np.testing.assert_array_equal(kept, expected)
    corners[0, 0, 3, 3], corners[0, 0, 0, 6] = False, True  # row 0, column 4 of the map alone
    expected = np.ones((4, 5))
    expected[0, 4] = 0
    np.testing.assert_array_equal(dropout.block_mask(corners, 0, 3)[0, 0], expected)


@pytest.mark.seed("A23")
def test_a_corners_rate_is_that_of_its_cells() -> None:
    """Every draw of the corners of one 1x1 map in turn, weighted by its probability."""
    rate, size = 0.3, 2
    corner = dropout.corner_rate(rate, size)
    kept = 0.0
    for bits in range(16):
        corners = np.array([bits >> place & 1 for place in range(4)], bool).reshape(1, 1, 2, 2)
        probability = np.where(corners, corner, 1 - corner).prod()
        kept += probability * (dropout.block_mask(corners, rate, size).item() > 0)
    assert abs(kept - (1 - rate)) < 16 * np.finfo(np.float64).eps


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match=r"rate must be in \[0, 1\), got 1"):
        dropout.element_mask([True], 1)
    with pytest.raises(ShapeError, match=r"dropped must be \(N, C\)"):
        dropout.channel_mask([True], 0.5)
    with pytest.raises(ShapeError, match="corners must be"):
        dropout.block_mask(np.zeros((1, 1, 1, 1), bool), 0.5, 2)
