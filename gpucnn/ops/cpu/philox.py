"""Philox4x32-10, the counter-based generator of dropout's masks.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011; the constants are theirs.
"""

import numpy as np

from gpucnn.ops.contract.arrays import Array

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)


ARRAYS = 6
"""uint64 arrays that `draw` works in."""


def draw(work: Array, low: int, *, seed: int, layer: int, step: int) -> Array:
    """uint64 (4, count): words of Philox(counter=(i low, i high, layer, step)), i from `low` on.

    Draw 4·i + j is word j of i. `work` is a uint64 array (ARRAYS, count); the words are in it.
    """
    w0, w1, w2, w3, first, second = work
    w0.fill(1)
    w0[:1] = low
    np.cumsum(w0, out=w0)
    np.right_shift(w0, WORD, out=w1)
    w0 &= LOW
    w2.fill(layer)
    w3.fill(step)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        np.multiply(w0, MULTIPLIERS[0], out=first)
        np.multiply(w2, MULTIPLIERS[1], out=second)
        for product, other, word, rest in ((second, w1, w0, 0), (first, w3, w2, 1)):
            np.right_shift(product, WORD, out=word)
            word ^= other
            word ^= np.uint64(key[rest])
            np.bitwise_and(product, LOW, out=other)
        key = [(k + w) & 0xFFFFFFFF for k, w in zip(key, WEYL, strict=True)]
    return work[:4]
