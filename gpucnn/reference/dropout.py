"""Dropout of elements, channels and blocks (S2). Float64.

The draws are given: `dropped` says what goes, so that a mask can be checked with any generator. A
mask holds 0 or 1/(1 - rate); backward uses the forward's mask again, and evaluation none.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements

Floats = NDArray[np.float64]


@implements("A23")
def element_mask(dropped: ArrayLike, rate: float) -> Floats:
    """A draw for each element; the expected value of mask·x is x (inverted dropout)."""
    if not 0 <= rate < 1:
        raise ConfigError(f"rate must be in [0, 1), got {rate!r}")
    dropped = np.asarray(dropped, bool)
    mask = np.empty(dropped.shape)
    for place in np.ndindex(*dropped.shape):
        mask[place] = 0.0 if dropped[place] else 1 / (1 - rate)
    return mask


@implements("A23")
def channel_mask(dropped: ArrayLike, rate: float) -> Floats:
    """`dropped` (N, C), a draw for each map: (N, C, 1, 1), constant over H and W.

    S2: neighbours in a map are alike, so a single pixel's information leaks; the map goes whole.
    """
    dropped = np.asarray(dropped, bool)
    if dropped.ndim != 2:
        raise ShapeError(f"dropped must be (N, C), got shape {dropped.shape}")
    return element_mask(dropped, rate)[:, :, None, None]


@implements("A23")
def block_mask(corners: ArrayLike, rate: float, block_size: int) -> Floats:
    """Squares of `block_size` B go: `corners` (N, C, H+B-1, W+B-1) to a mask (N, C, H, W).

    The square of corner (i, j) has its last cell at (i, j), so it covers the rows i-B+1 to i and
    the columns j-B+1 to j, as far as the map has them. `rate` is a cell's, not a corner's.
    """
    corners = np.asarray(corners, bool)
    if corners.ndim != 4 or min(corners.shape[2:]) < block_size:
        raise ShapeError(
            f"corners must be (N, C, H+{block_size - 1}, W+{block_size - 1}), got {corners.shape}"
        )
    n, c, high, wide = corners.shape
    dropped = np.zeros((n, c, high - block_size + 1, wide - block_size + 1), bool)
    for image, channel, i, j in np.argwhere(corners):
        rows = slice(max(0, i - block_size + 1), i + 1)
        columns = slice(max(0, j - block_size + 1), j + 1)
        dropped[image, channel, rows, columns] = True
    return element_mask(dropped, rate)


@implements("A23")
def corner_rate(rate: float, block_size: int) -> float:
    """The rate of corners that drops a cell with probability `rate`.

    B² corners cover a cell, and it stays where none of them is drawn: (1 - r)^(B²) = 1 - rate.
    """
    return float(1 - (1 - rate) ** (1 / block_size**2))


@implements("A23")
def dropout(x: ArrayLike, mask: Floats) -> Floats:
    """y = mask (.) x; a channel's mask counts for its whole map."""
    return np.asarray(x, np.float64) * mask


@implements("A23")
def dropout_backward(dy: ArrayLike, mask: Floats) -> Floats:
    """∂z/∂x = mask (.) δ, with the mask that forward used."""
    return np.asarray(dy, np.float64) * mask
