"""Batches made on the device: taken out of a data set, changed at random, normalised.

On every device to the bits of gpucnn.images, whose functions have these names; but kernels take
float32 denormals for 0, as they do everywhere.
"""

from abc import abstractmethod
from collections.abc import Sequence

from gpucnn.errors import ShapeError
from gpucnn.ops.contract.arrays import Array, ArrayOps
from gpucnn.ops.shapes import check_elements, int32


class ImageOps(ArrayOps):
    """Images x are (N, C, H, W); what happens to each was drawn before, on the host.

    Where the host cannot read an array of the device without waiting for it, a value that it may
    not hold makes NaN (and -1 in int32) of what it decides, instead of a DataError.
    """

    def gather_images(self, images: Array, indices: Array) -> Array:
        """Return the images at `indices`, int32 (n,), in float32 on the [0, 1] scale.

        images: (N, C, H, W), uint8 (divided by 255) or float32 (as it is); more than 2³¹ pixels in
        all are allowed.
        """
        self._check("images", images, ndim=4, dtypes=("uint8", "float32"), large=True)
        _pixels("images", images.shape)
        self._check("indices", indices, ndim=1, dtype="int32")
        check_elements("the batch", (*indices.shape, *images.shape[1:]))
        return self._gather_images(images, indices)

    def gather_rows(self, a: Array, indices: Array) -> Array:
        """Return a[indices], a being int32 or float (N, …) and `indices` int32 (n,)."""
        self._check("a", a, dtypes=("int32", "float32", "float64"))
        if a.ndim == 0:
            raise ShapeError(f"a must have at least one dimension, got shape {a.shape}")
        self._check("indices", indices, ndim=1, dtype="int32")
        check_elements("the result", (*indices.shape, *a.shape[1:]))
        return self._gather_rows(a, indices)

    def shift_images(self, x: Array, offsets: Array) -> Array:
        """Return y[n, c, i, j] = x[n, c, i + offsets[n, 0], j + offsets[n, 1]], 0 outside of x.

        offsets: int32 (N, 2).
        """
        self._check_images(x)
        self._check("offsets", offsets, shape=(len(x), 2), dtype="int32")
        return self._shift_images(x, offsets)

    def flip_images(self, x: Array, chosen: Array) -> Array:
        """Return x, mirrored left to right where `chosen`, uint8 (N,), is not 0."""
        self._check_images(x)
        self._check("chosen", chosen, shape=(len(x),), dtype="uint8")
        return self._flip_images(x, chosen)

    def cut_out_images(self, x: Array, corners: Array, *, size: int) -> Array:
        """Return x with 0 in a square of `size` x `size` pixels, cut at the border.

        corners: int32 (N, 2), row and column of its top left pixel, which may lie outside.
        """
        self._check_images(x)
        self._check("corners", corners, shape=(len(x), 2), dtype="int32")
        return self._cut_out_images(x, corners, int32("size", size, minimum=1))

    def rotate_images(self, x: Array, turns: Array) -> Array:
        """Return x, each image turned counter-clockwise about its centre; bilinear, 0 outside.

        turns: float64 (N, 2), cosine and sine of the angle, neither beyond 1.
        """
        self._check_images(x)
        self._check("turns", turns, shape=(len(x), 2), dtype="float64")
        return self._rotate_images(x, turns)

    def normalize_images(self, x: Array, mean: Array, std: Array) -> Array:
        """Return (x - mean) / std for each channel; mean and std of x's dtype (C,)."""
        self._check_images(x)
        for name, a in (("mean", mean), ("std", std)):
            self._check(name, a, shape=x.shape[1:2], dtype=x.dtype.name)
        return self._normalize_images(x, mean, std)

    def _check_images(self, x: Array) -> None:
        self._check("x", x, ndim=4)
        _pixels("x", x.shape)

    @abstractmethod
    def _gather_images(self, images: Array, indices: Array) -> Array: ...

    @abstractmethod
    def _gather_rows(self, a: Array, indices: Array) -> Array: ...

    @abstractmethod
    def _shift_images(self, x: Array, offsets: Array) -> Array: ...

    @abstractmethod
    def _flip_images(self, x: Array, chosen: Array) -> Array: ...

    @abstractmethod
    def _cut_out_images(self, x: Array, corners: Array, size: int) -> Array: ...

    @abstractmethod
    def _rotate_images(self, x: Array, turns: Array) -> Array: ...

    @abstractmethod
    def _normalize_images(self, x: Array, mean: Array, std: Array) -> Array: ...


def _pixels(name: str, shape: Sequence[int]) -> None:
    if 0 in shape[1:]:
        raise ShapeError(f"{name} must have images of at least one pixel, got shape {tuple(shape)}")
