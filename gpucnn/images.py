"""Batches of images: taking them out of a data set, changing them at random, normalising them.

The functions that the loader prepares batches with on the host, and that the `cpu` device does as
methods of the same names; the kernels of the other devices give the same bits. Images x are
(N, C, H, W), float32 or float64. Every function returns a new C-contiguous array, of x's dtype, and
leaves its arguments alone; what happens to each image is in an array drawn before.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Images = NDArray[Any]


def scale(images: Images) -> NDArray[np.float32]:
    """A float32 copy of images on the [0, 1] scale: uint8 divided by 255, floats as they are."""
    if images.dtype == np.uint8:
        scaled: NDArray[np.float32] = np.divide(
            images, np.float32(255), dtype=np.float32, order="C"
        )
        return scaled
    return images.astype(np.float32, order="C")


def gather_images(images: Images, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """The images (uint8 or float32) at `indices` (n,), in that order, on the [0, 1] scale."""
    return scale(images[indices])


def shift_images(x: Images, offsets: NDArray[np.int32]) -> Images:
    """y[n, c, i, j] = x[n, c, i + offsets[n, 0], j + offsets[n, 1]], 0 from outside of x.

    offsets: int32 (N, 2), as large as they may be.
    """
    n, _, h, w = x.shape
    # What is moved by its whole side is black, however much farther it goes.
    top, left = (np.clip(offsets[:, axis], -side, side) for axis, side in ((0, h), (1, w)))
    reach_h, reach_w = (int(np.abs(a).max(initial=0)) for a in (top, left))
    sides = ((0, 0), (0, 0), (reach_h, reach_h), (reach_w, reach_w))
    windows = sliding_window_view(np.pad(x, sides), (h, w), axis=(2, 3))
    return np.ascontiguousarray(windows[np.arange(n), :, top + reach_h, left + reach_w])


def flip_images(x: Images, chosen: NDArray[np.uint8]) -> Images:
    """Mirror left to right where `chosen`, uint8 (N,), is not 0."""
    y = np.array(x, order="C")
    mirrored = np.flatnonzero(chosen)
    y[mirrored] = x[mirrored, :, :, ::-1]
    return y


def cut_out_images(x: Images, corners: NDArray[np.int32], *, size: int) -> Images:
    """Blacken a square of `size` x `size` pixels, cut at the border.

    corners: int32 (N, 2), the row and column of its top left pixel, which may lie outside.
    """
    rows, columns = (_covered(corners[:, i : i + 1], x.shape[2 + i], size) for i in (0, 1))
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return np.where(hole, x.dtype.type(0), x)


def _covered(start: NDArray[np.int32], length: int, size: int) -> NDArray[np.bool_]:
    """(N, length): the positions under the square along one axis."""
    distance = np.arange(length, dtype=np.int64) - start
    covered: NDArray[np.bool_] = (distance >= 0) & (distance < size)
    return covered


def rotate_images(x: Images, turns: NDArray[np.float64]) -> Images:
    """Turn each image counter-clockwise about its centre; bilinear, black outside.

    turns: float64 (N, 2), the cosine and sine of the angle. Every pixel looks up in float64 where
    it came from (an angle of 0 or of a right angle must land on the pixels themselves) and blends
    the four pixels around that place in x's dtype, the upper two before the lower two.
    """
    n, c, h, w = x.shape
    # A border of zeros, two pixels where a row begins and ends, takes every look-up outside.
    padded = np.zeros((n, c, h + 3, w + 3), x.dtype)
    padded[:, :, 1 : h + 1, 1 : w + 1] = x
    flat = padded.reshape(n, c, (h + 3) * (w + 3))
    cos, sin = turns[:, 0, None, None], turns[:, 1, None, None]
    i = np.arange(h)[:, None] - (h - 1) / 2
    j = np.arange(w)[None, :] - (w - 1) / 2
    source_i = np.clip(cos * i + sin * j + (h - 1) / 2, -1, h).reshape(n, 1, h * w)
    source_j = np.clip(cos * j - sin * i + (w - 1) / 2, -1, w).reshape(n, 1, h * w)
    top, left = np.floor(source_i), np.floor(source_j)
    down, right = (source_i - top).astype(x.dtype), (source_j - left).astype(x.dtype)
    corner = ((top + 1) * (w + 3) + (left + 1)).astype(np.intp)
    out = np.take_along_axis(flat, corner, 2) * ((1 - down) * (1 - right))
    out += np.take_along_axis(flat, corner + 1, 2) * ((1 - down) * right)
    out += np.take_along_axis(flat, corner + (w + 3), 2) * (down * (1 - right))
    out += np.take_along_axis(flat, corner + (w + 4), 2) * (down * right)
    turned: Images = out.reshape(n, c, h, w)
    return turned


def normalize_images(x: Images, mean: Images, std: Images) -> Images:
    """(x - mean) / std for each channel; mean and std of x's dtype (C,)."""
    y: Images = np.subtract(x, mean[:, None, None], order="C")
    y /= std[:, None, None]
    return y
