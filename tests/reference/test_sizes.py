"""Sizes: counted one by one, and the rules for bad ones."""

from collections.abc import Callable

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference.convolution import correlate
from gpucnn.reference.sizes import Window, output_size, pair, receptive_field, same_padding, sides


def starts(W: int, F: int, P: int, S: int) -> list[int]:
    """Where windows of F cells start on a padded line; the last must end on its last cell."""
    return [start for start in range(0, W + 2 * P, S) if start + F <= W + 2 * P]


@pytest.mark.seed("A1")
def test_a_size_counts_the_windows_or_is_refused() -> None:
    counted = refused = 0
    for W, F, P, S in np.ndindex(9, 6, 3, 5):
        if not F or not S or F > W + 2 * P:
            continue
        windows = starts(W, F, P, S)
        if windows[-1] + F == W + 2 * P:
            assert output_size(W, F, P, S) == len(windows)
            counted += 1
        else:
            with pytest.raises(ShapeError, match="not a whole number"):
                output_size(W, F, P, S)
            refused += 1
    assert min(counted, refused) > 50


@pytest.mark.parametrize(
    ("numbers", "error", "words"),
    [
        ((5, 3, 0, 0), ConfigError, "stride S must be at least 1, got 0"),
        ((5, 3, -1, 1), ConfigError, "padding P must be at least 0, got -1"),
        ((5, 8, 1, 1), ShapeError, r"from 1 to W \+ 2P = 7, got 8"),
        ((5, 0, 1, 1), ShapeError, "got 0"),
        ((6, 3, 0, 2), ShapeError, r"= 2\.5 is not a whole number"),
    ],
)
def test_bad_numbers_are_named(
    numbers: tuple[int, int, int, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        output_size(*numbers)


@pytest.mark.seed("A2")
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7, (2, 5)])
def test_same_padding_keeps_the_size(kernel: int | tuple[int, int]) -> None:
    (top, bottom), (left, right) = same_padding(kernel)
    map_ = np.zeros((7 + top + bottom, 8 + left + right))
    assert correlate(map_, np.zeros(pair(kernel))).shape == (7, 8)
    assert (bottom - top, right - left) == tuple((size + 1) % 2 for size in pair(kernel))


@pytest.mark.seed("A25")
def test_the_receptive_field_is_what_changes_the_output() -> None:
    """Perturb each cell of a line; behind the layers, one output cell depends on `size` of them."""
    layers = [Window(3, 1, 2), Window(2, 2), Window(3), Window(2, 3)]
    fields = receptive_field(layers)
    assert [field.jump for field in fields] == [1, 2, 2, 6]
    for depth in range(1, len(layers) + 1):
        reach = []
        for cell in range(60):
            line = np.zeros(60)
            line[cell] = 1
            for kernel, stride, dilation in layers[:depth]:
                last = (kernel - 1) * dilation
                line = np.array(
                    [
                        sum(line[at + tap * dilation] for tap in range(kernel))
                        for at in range(0, len(line) - last, stride)
                    ]
                )
            reach.append(line[:2])
        first, second = np.array(reach).T
        assert np.ptp(np.flatnonzero(first)) + 1 == fields[depth - 1].size
        moved = np.flatnonzero(second)[0] - np.flatnonzero(first)[0]
        assert moved == fields[depth - 1].jump


def test_pairs_and_sides() -> None:
    assert pair(3) == (3, 3)
    assert pair([2, 3]) == (2, 3)
    assert sides(1) == ((1, 1), (1, 1))
    assert sides((1, 2)) == ((1, 1), (2, 2))
    assert sides(((1, 2), [3, 4])) == ((1, 2), (3, 4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pair(0, "stride"), "stride must be a whole number of at least 1 .* got 0"),
        (lambda: pair((2, -1), "stride"), r"stride must be .* got \(2, -1\)"),
        (lambda: pair((1, 2, 3)), r"or two of them, \(height, width\), got \(1, 2, 3\)"),
        (lambda: pair(2.0), "whole number .* got 2.0"),
        (lambda: sides((1, (0, -1))), r"padding must be .* at least 0 .* got \(0, -1\)"),
        (lambda: sides((1, 2, 3, 4)), r"padding must be one number, two, or two pairs"),
        (lambda: same_padding(0), "kernel_size must be .* got 0"),
    ],
)
def test_bad_pairs_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call()
