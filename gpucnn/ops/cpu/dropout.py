"""Dropout of elements, channels and blocks."""

from collections.abc import Sequence
from math import prod

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dropout import DropoutOps
from gpucnn.ops.cpu import philox


def _kept(shape: Sequence[int], rate: float, seed: int, layer: int, step: int) -> Array:
    """bool of `shape`: keep iff draw >= floor(rate·2³²)."""
    draws = philox.draws(prod(shape), seed=seed, layer=layer, step=step)
    return (draws >= np.uint32(int(rate * 2**32))).reshape(shape)


def _masked(x: Array, kept: Array, rate: float) -> tuple[Array, Array]:
    """y and the mask of 0 and 1/(1 - rate); arrays also where x is 0-d."""
    mask = np.multiply(kept, x.dtype.type(1 / (1 - rate)), out=np.empty(kept.shape, x.dtype))
    return np.multiply(x, mask, out=np.empty_like(x)), mask


class CpuDropout(DropoutOps):
    """The dropout family on NumPy."""

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        return _masked(x, _kept(x.shape, rate, seed, layer, step), rate)

    def _dropout2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        return _masked(x, _kept((*x.shape[:2], 1, 1), rate, seed, layer, step), rate)

    def _drop_block2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int, block_size: int
    ) -> tuple[Array, Array]:
        n, c, h, w = x.shape
        corners = (n, c, h + block_size - 1, w + block_size - 1)
        corner_rate = 1 - (1 - rate) ** (1 / block_size**2)
        kept = _kept(corners, corner_rate, seed, layer, step)
        # A cell is kept where all corners whose block covers it are: rows first, then columns.
        rows = np.logical_and.reduce([kept[:, :, i : i + h] for i in range(block_size)])
        cells = np.logical_and.reduce([rows[..., j : j + w] for j in range(block_size)])
        return _masked(x, cells, rate)

    def _dropout_backward(self, dy: Array, mask: Array) -> Array:
        return np.multiply(dy, mask, out=np.empty_like(dy))
