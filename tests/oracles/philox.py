"""Philox4x32-10 in whole numbers (Salmon et al., 2011), and the dropout masks drawn from it."""

import numpy as np

WORD = 2**32 - 1


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, ...]:
    """Ten rounds: 4 counter words and 2 key words give 4 random words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (second >> 32) ^ c1 ^ k0,
            second & WORD,
            (first >> 32) ^ c3 ^ k1,
            first & WORD,
        )
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def draw(element: int, seed: int, layer: int, step: int) -> int:
    """The 32-bit draw of one element."""
    block = element // 4
    counter = (block & WORD, block >> 32, layer, step)
    return philox4x32(counter, (seed & WORD, seed >> 32))[element % 4]


def kept(count: int, rate: float, seed: int, layer: int, step: int) -> np.ndarray:
    """Which of `count` elements stay: draw >= floor(rate·2³²)."""
    threshold = int(rate * 2**32)
    draws = (draw(element, seed, layer, step) for element in range(count))
    return np.array([word >= threshold for word in draws], dtype=bool)


def block_kept(
    shape: tuple[int, int, int, int], rate: float, seed: int, layer: int, step: int, size: int
) -> np.ndarray:
    """Which cells of (N, C, H, W) stay when squares of `size` go.

    A corner at grid place (a, b) covers the rows a-size+1..a and the columns b-size+1..b.
    """
    n, c, h, w = shape
    grid = (n, c, h + size - 1, w + size - 1)
    corner_rate = 1 - (1 - rate) ** (1 / size**2)
    corners = ~kept(int(np.prod(grid)), corner_rate, seed, layer, step).reshape(grid)
    keep = np.ones(shape, dtype=bool)
    for image, channel, a, b in np.argwhere(corners):
        for i in range(a - size + 1, a + 1):
            for j in range(b - size + 1, b + 1):
                if 0 <= i < h and 0 <= j < w:
                    keep[image, channel, i, j] = False
    return keep
