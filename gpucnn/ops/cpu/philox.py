"""Philox4x32-10, the counter-based generator of dropout's masks.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011; the constants are theirs.
"""

import numpy as np

from gpucnn.ops.contract.arrays import Array

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)


def draws(count: int, *, seed: int, layer: int, step: int) -> Array:
    """uint32 (count,): draw i is word i % 4 of Philox(counter=(i//4 low, high, layer, step))."""
    index = np.arange(-(-count // 4), dtype=np.uint64)
    words = [
        index & LOW,
        index >> WORD,
        np.full_like(index, layer),
        np.full_like(index, step),
    ]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        words = [
            (second >> WORD) ^ words[1] ^ np.uint64(key[0]),
            second & LOW,
            (first >> WORD) ^ words[3] ^ np.uint64(key[1]),
            first & LOW,
        ]
        key = [(k + w) & 0xFFFFFFFF for k, w in zip(key, WEYL, strict=True)]
    return np.stack(words, axis=1).astype(np.uint32).reshape(-1)[:count]
