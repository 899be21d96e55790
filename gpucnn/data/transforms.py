"""Random changes of training images, a whole batch at a time.

A transform maps images (N, C, H, W), float32 on the [0, 1] scale, to a new array of the same shape
and leaves its argument alone. It runs before normalisation, so what it fills with zero is black.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gpucnn.errors import ConfigError

Images = NDArray[np.float32]


class Transform(ABC):
    """A random map of a batch; all its draws come from `rng`."""

    def check(self, image_shape: tuple[int, int, int]) -> None:  # noqa: B027 (most need none)
        """Raise ConfigError where images (C, H, W) of this size do not fit the transform."""

    @abstractmethod
    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        """Return the changed images."""


class RandomShift(Transform):
    """Move each image by up to `pixels` in each direction, black coming in from the border."""

    def __init__(self, pixels: int):
        self.pixels = _at_least("random_shift.pixels", pixels, 1)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        _inside("random_shift.pixels", self.pixels, image_shape)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        return _shifted(images, self.pixels, rng)


class RandomCrop(Transform):
    """Pad each side with `padding` black pixels and cut out a window of the image's size.

    The same map as RandomShift, by the name it has for CIFAR-10 (He et al. 2015, section 4.2).
    """

    def __init__(self, padding: int):
        self.padding = _at_least("random_crop.padding", padding, 1)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        _inside("random_crop.padding", self.padding, image_shape)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        return _shifted(images, self.padding, rng)


class HorizontalFlip(Transform):
    """Mirror each image left to right with `probability`."""

    def __init__(self, probability: float = 0.5):
        if isinstance(probability, bool) or not 0 <= probability <= 1:
            raise ConfigError(
                f"horizontal_flip.probability must be from 0 to 1, got {probability!r}"
            )
        self.probability = float(probability)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        flipped = np.array(images)
        chosen = np.flatnonzero(rng.random(len(images)) < self.probability)
        flipped[chosen] = images[chosen, :, :, ::-1]
        return flipped


class Cutout(Transform):
    """Blacken a size x size square around a random pixel, cut at the border.

    DeVries and Taylor 2017 ("Improved Regularization of CNNs with Cutout").
    """

    def __init__(self, size: int):
        self.size = _at_least("cutout.size", size, 1)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        _inside("cutout.size", self.size, image_shape)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        n, _, h, w = images.shape
        rows, columns = self._covered(rng, n, h), self._covered(rng, n, w)
        hole = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(hole, np.float32(0), images)

    def _covered(self, rng: np.random.Generator, n: int, length: int) -> NDArray[np.bool_]:
        """(n, length): the positions under the square along one axis."""
        start = rng.integers(0, length, size=(n, 1)) - self.size // 2
        position = np.arange(length)
        return (position >= start) & (position < start + self.size)


class Rotation(Transform):
    """Turn each image about its centre by up to `degrees` either way; bilinear, black outside."""

    def __init__(self, degrees: float):
        if isinstance(degrees, bool) or not 0 < degrees <= 180:
            raise ConfigError(f"rotation.degrees must be above 0 and up to 180, got {degrees!r}")
        self.degrees = float(degrees)

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        angles = np.deg2rad(rng.uniform(-self.degrees, self.degrees, size=len(images)))
        return rotate(images, angles)


def rotate(images: Images, angles: NDArray[np.float64]) -> Images:
    """Turn each image (C, H, W) counter-clockwise about its centre by its angle in radians.

    Every output pixel looks up where it came from and blends the four pixels around that place;
    what lies outside is 0.
    """
    n, c, h, w = images.shape
    # A border of zeros, two pixels where a row begins and ends, takes every look-up outside.
    padded = np.zeros((n, c, h + 3, w + 3), np.float32)
    padded[:, :, 1 : h + 1, 1 : w + 1] = images
    flat = padded.reshape(n, c, -1)
    # float64 coordinates: an angle of 0 or of a right angle must land on the pixels themselves.
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    y = np.arange(h)[:, None] - (h - 1) / 2
    x = np.arange(w)[None, :] - (w - 1) / 2
    source_y = np.clip(cos * y + sin * x + (h - 1) / 2, -1, h).reshape(n, 1, -1)
    source_x = np.clip(cos * x - sin * y + (w - 1) / 2, -1, w).reshape(n, 1, -1)
    top, left = np.floor(source_y), np.floor(source_x)
    down, right = (source_y - top).astype(np.float32), (source_x - left).astype(np.float32)
    corner = ((top + 1) * (w + 3) + (left + 1)).astype(np.intp)
    out = np.take_along_axis(flat, corner, 2) * ((1 - down) * (1 - right))
    out += np.take_along_axis(flat, corner + 1, 2) * ((1 - down) * right)
    out += np.take_along_axis(flat, corner + (w + 3), 2) * (down * (1 - right))
    out += np.take_along_axis(flat, corner + (w + 4), 2) * (down * right)
    turned: Images = out.reshape(n, c, h, w)
    return turned


def _shifted(images: Images, reach: int, rng: np.random.Generator) -> Images:
    """Each image moved by its own (dy, dx) in [-reach, reach], zeros coming in."""
    n, _, h, w = images.shape
    sides = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    windows = sliding_window_view(np.pad(images, sides), (h, w), axis=(2, 3))
    top, left = rng.integers(0, 2 * reach + 1, size=(2, n))
    return np.ascontiguousarray(windows[np.arange(n), :, top, left])


def _at_least(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ConfigError(f"{name} must be an integer of at least {low}, got {value!r}")
    return int(value)


def _inside(name: str, value: int, image_shape: tuple[int, int, int]) -> None:
    side = min(image_shape[1:])
    if value >= side:
        raise ConfigError(
            f"{name} {value} would blank whole images of shape {image_shape}: use less than {side}"
        )


TRANSFORMS: dict[str, type[Transform]] = {
    "random_shift": RandomShift,
    "horizontal_flip": HorizontalFlip,
    "random_crop": RandomCrop,
    "cutout": Cutout,
    "rotation": Rotation,
}
