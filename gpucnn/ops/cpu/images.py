"""Batches out of a data set: the functions that the loader makes them with."""

import numpy as np

from gpucnn import images as on_host
from gpucnn.errors import DataError
from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.images import ImageOps
from gpucnn.ops.cpu.base import CpuArrayOps


class CpuImages(CpuArrayOps, ImageOps):
    """The image family on NumPy."""

    def _gather_images(self, images: Array, indices: Array) -> Array:
        _check_indices(indices, len(images))
        return on_host.gather_images(images, indices)

    def _gather_rows(self, a: Array, indices: Array) -> Array:
        _check_indices(indices, len(a))
        return a[indices]

    def _shift_images(self, x: Array, offsets: Array) -> Array:
        return on_host.shift_images(x, offsets)

    def _flip_images(self, x: Array, chosen: Array) -> Array:
        return on_host.flip_images(x, chosen)

    def _cut_out_images(self, x: Array, corners: Array, size: int) -> Array:
        return on_host.cut_out_images(x, corners, size=size)

    def _rotate_images(self, x: Array, turns: Array) -> Array:
        wrong = np.flatnonzero(~(np.abs(turns) <= 1).all(axis=1))
        if wrong.size:
            raise DataError(
                f"turns[{wrong[0]}] is {turns[wrong[0]].tolist()}: a cosine and a sine are from"
                " -1 to 1"
            )
        return on_host.rotate_images(x, turns)

    def _normalize_images(self, x: Array, mean: Array, std: Array) -> Array:
        return on_host.normalize_images(x, mean, std)


def _check_indices(indices: Array, count: int) -> None:
    wrong = np.flatnonzero((indices < 0) | (indices >= count))
    if wrong.size:
        raise DataError(
            f"indices[{wrong[0]}] is {indices[wrong[0]]}, outside of the {count} there are"
        )
