"""Dropout of elements, channels and blocks."""

from collections.abc import Sequence
from math import prod

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dropout import DropoutOps, Step
from gpucnn.ops.cpu import philox
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch


class CpuDropout(CpuArrayOps, DropoutOps):
    """The dropout family on NumPy."""

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        return self._masked(x, self._kept(x.shape, rate, seed, layer, step), rate)

    def _dropout2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        kept = self._kept((*x.shape[:2], 1, 1), rate, seed, layer, step)
        return self._masked(x, kept, rate)

    def _drop_block2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step, block_size: int
    ) -> tuple[Array, Array]:
        n, c, h, w = x.shape
        corners = (n, c, h + block_size - 1, w + block_size - 1)
        corner_rate = 1 - (1 - rate) ** (1 / block_size**2)
        kept = self._kept(corners, corner_rate, seed, layer, step)
        # A cell is kept where all corners whose block covers it are: rows first, then columns.
        rows = self.empty((n, c, h, corners[3]), bool)
        rows[...] = kept[:, :, :h]
        for i in range(1, block_size):
            rows &= kept[:, :, i : i + h]
        cells = self.empty(x.shape, bool)
        cells[...] = rows[..., :w]
        for j in range(1, block_size):
            cells &= rows[..., j : j + w]
        return self._masked(x, cells, rate)

    def _dropout_backward(self, dy: Array, mask: Array) -> Array:
        return np.multiply(dy, mask, out=self.empty(dy.shape, dy.dtype))

    def _kept(self, shape: Sequence[int], rate: float, seed: int, layer: int, step: Step) -> Array:
        """bool of `shape`: keep iff draw >= floor(rate·2³²)."""
        count, threshold, step = prod(shape), np.uint64(int(rate * 2**32)), int(step)
        kept = self.empty((-(-count // 4), 4), bool)

        def body(low: int, high: int, take: Scratch) -> None:
            work = take((philox.ARRAYS, high - low), np.uint64)
            words = philox.draw(work, low, seed=seed, layer=layer, step=step)
            np.greater_equal(words.T, threshold, out=kept[low:high])

        # A part's arrays stay in the cache.
        room = 8 * philox.ARRAYS
        self._over(len(kept), count, body, scratch=room, block=1 << 15)
        return kept.reshape(-1)[:count].reshape(shape)

    def _masked(self, x: Array, kept: Array, rate: float) -> tuple[Array, Array]:
        """y and the mask of 0 and 1/(1 - rate); arrays also where x is 0-d."""
        mask, y = self.empty(kept.shape, x.dtype), self.empty(x.shape, x.dtype)
        np.multiply(kept, x.dtype.type(1 / (1 - rate)), out=mask)
        return np.multiply(x, mask, out=y), mask
