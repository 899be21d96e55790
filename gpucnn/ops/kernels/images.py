"""Batches out of a data set that lies on the device."""

from math import prod
from typing import Any

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.images import ImageOps
from gpucnn.ops.kernels.base import KernelArrayOps
from gpucnn.ops.kernels.elementwise import ceil_div

PIXELS = {"uint8": "uint8", "float32": "float"}
"""How a data set holds its pixels -> the kernel's type."""

PIXELS_A_THREAD = 4


class KernelImages(KernelArrayOps, ImageOps):
    """The image family on kernels."""

    def _gather_images(self, images: Array, indices: Array) -> Array:
        y = self.empty((len(indices), *images.shape[1:]), "float32")
        args = [images, indices, y, len(images), len(indices), prod(images.shape[1:])]
        self._launch_elements(
            "gather_images",
            ceil_div(y.size, PIXELS_A_THREAD),
            args,
            dtype=y.dtype,
            macros=(("PIXEL", PIXELS[images.dtype.name]),),
        )
        return y

    def _gather_rows(self, a: Array, indices: Array) -> Array:
        y = self.empty((len(indices), *a.shape[1:]), a.dtype)
        words = prod(a.shape[1:]) * (a.dtype.itemsize // 4)
        args = [_words(a), indices, _words(y), len(a), len(indices), words]
        self._launch_elements("gather_rows", len(indices) * words, args, dtype=np.float32)
        return y

    def _shift_images(self, x: Array, offsets: Array) -> Array:
        return self._places("shift_images", x, offsets)

    def _flip_images(self, x: Array, chosen: Array) -> Array:
        return self._places("flip_images", x, chosen)

    def _cut_out_images(self, x: Array, corners: Array, size: int) -> Array:
        return self._places("cut_out_images", x, corners, size)

    def _rotate_images(self, x: Array, turns: Array) -> Array:
        return self._places("rotate_images", x, turns)

    def _normalize_images(self, x: Array, mean: Array, std: Array) -> Array:
        return self._places("normalize_images", x, mean, std)

    def _places(self, file: str, x: Array, *more: Any) -> Array:
        """kernels/`file`.cu, of which a thread takes a place of an image, all its channels."""
        y = self.empty(x.shape, x.dtype)
        n, _, h, w = x.shape
        self._launch_elements(file, n * h * w, [x, y, *more, *x.shape], dtype=x.dtype)
        return y


def _words(a: Array) -> Array:
    """A view of an array of 4 or 8 bytes an element as numbers of 4 bytes."""
    return a.reshape(-1).view("uint32")
