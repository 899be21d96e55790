"""Gathering, augmenting and normalising images, pixel by pixel, each number rounded by itself."""

import math
from collections.abc import Callable

import numpy as np


def each(x: np.ndarray, pixel: Callable[..., object]) -> np.ndarray:
    """y[n, c, i, j] = pixel(n, c, i, j)."""
    y = np.empty_like(x)
    for at in np.ndindex(*x.shape):
        y[at] = pixel(*at)
    return y


def at(x: np.ndarray, n: int, c: int, i: int, j: int) -> object:
    """The pixel, or 0 outside of the image."""
    inside = 0 <= i < x.shape[2] and 0 <= j < x.shape[3]
    return x[n, c, i, j] if inside else x.dtype.type(0)


def shift(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return each(x, lambda n, c, i, j: at(x, n, c, i + int(offsets[n, 0]), j + int(offsets[n, 1])))


def flip(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    last = x.shape[3] - 1
    return each(x, lambda n, c, i, j: x[n, c, i, last - j if chosen[n] else j])


def cut_out(x: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    def pixel(n: int, c: int, i: int, j: int) -> object:
        top, left = map(int, corners[n])
        return 0 if top <= i < top + size and left <= j < left + size else x[n, c, i, j]

    return each(x, pixel)


def rotate(x: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Places in Python's float64, which fuses nothing; the blend in x's dtype."""
    _, _, h, w = x.shape
    kind = x.dtype.type

    def pixel(n: int, c: int, i: int, j: int) -> object:
        cos, sin = map(float, turns[n])
        v, u = i - (h - 1) / 2, j - (w - 1) / 2
        down_from = min(max(cos * v + sin * u + (h - 1) / 2, -1.0), float(h))
        right_from = min(max(cos * u - sin * v + (w - 1) / 2, -1.0), float(w))
        top, left = math.floor(down_from), math.floor(right_from)
        down, right = kind(down_from - top), kind(right_from - left)
        one = kind(1)
        parts = [
            at(x, n, c, top, left) * ((one - down) * (one - right)),
            at(x, n, c, top, left + 1) * ((one - down) * right),
            at(x, n, c, top + 1, left) * (down * (one - right)),
            at(x, n, c, top + 1, left + 1) * (down * right),
        ]
        return ((parts[0] + parts[1]) + parts[2]) + parts[3]

    return each(x, pixel)


def normalize(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return each(x, lambda n, c, i, j: (x[n, c, i, j] - mean[c]) / std[c])
