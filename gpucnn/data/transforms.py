"""Random changes of training images, a whole batch at a time.

A transform maps images (N, C, H, W), float32 on the [0, 1] scale, to a new array of the same shape
and leaves its argument alone. It runs before normalisation, so what it fills with zero is black.
What it does to each image is drawn first, as a small array; a function of gpucnn.images does it,
and the Ops method of that name does the same on a device, bit for bit.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpucnn import images as on_host
from gpucnn.errors import ConfigError

Images = NDArray[np.float32]
Shape = tuple[int, int, int]
Draws = NDArray[Any]
"""What was drawn for each image: (n,) or (n, 2)."""


class Transform(ABC):
    """A random map of a batch; all its draws come from `rng`."""

    method: ClassVar[str]
    """The function of gpucnn.images, and the method of Ops: method(images, draws, **options)."""

    @property
    def options(self) -> dict[str, Any]:
        """Its keyword arguments."""
        return {}

    def check(self, image_shape: Shape) -> None:  # noqa: B027 (most need none)
        """Raise ConfigError where images (C, H, W) of this size do not fit the transform."""

    @abstractmethod
    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        """What happens to each of n images (C, H, W), as `method` takes it."""

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        """Return the changed images."""
        n, c, h, w = images.shape
        return self.apply(images, self.draw(n, (c, h, w), rng))

    def apply(self, images: Images, drawn: Draws) -> Images:
        """Return the images changed as it was drawn."""
        changed: Images = getattr(on_host, self.method)(images, drawn, **self.options)
        return changed


class RandomShift(Transform):
    """Move each image by up to `pixels` in each direction, black coming in from the border."""

    method = "shift_images"

    def __init__(self, pixels: int):
        self.pixels = _at_least("random_shift.pixels", pixels, 1)

    def check(self, image_shape: Shape) -> None:
        _inside("random_shift.pixels", self.pixels, image_shape)

    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        return _offsets(n, self.pixels, rng)


class RandomCrop(Transform):
    """Pad each side with `padding` black pixels and cut out a window of the image's size.

    The same map as RandomShift, by the name it has for CIFAR-10 (He et al. 2015, section 4.2).
    """

    method = "shift_images"

    def __init__(self, padding: int):
        self.padding = _at_least("random_crop.padding", padding, 1)

    def check(self, image_shape: Shape) -> None:
        _inside("random_crop.padding", self.padding, image_shape)

    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        return _offsets(n, self.padding, rng)


class HorizontalFlip(Transform):
    """Mirror each image left to right with `probability`."""

    method = "flip_images"

    def __init__(self, probability: float = 0.5):
        if isinstance(probability, bool) or not 0 <= probability <= 1:
            raise ConfigError(
                f"horizontal_flip.probability must be from 0 to 1, got {probability!r}"
            )
        self.probability = float(probability)

    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        return (rng.random(n) < self.probability).astype(np.uint8)


class Cutout(Transform):
    """Blacken a size x size square around a random pixel, cut at the border.

    DeVries and Taylor 2017 ("Improved Regularization of CNNs with Cutout").
    """

    method = "cut_out_images"

    def __init__(self, size: int):
        self.size = _at_least("cutout.size", size, 1)

    @property
    def options(self) -> dict[str, Any]:
        return {"size": self.size}

    def check(self, image_shape: Shape) -> None:
        _inside("cutout.size", self.size, image_shape)

    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        rows, columns = (rng.integers(0, side, size=n) for side in image_shape[1:])
        corners = np.stack([rows, columns], axis=1) - self.size // 2
        return corners.astype(np.int32)


class Rotation(Transform):
    """Turn each image about its centre by up to `degrees` either way; bilinear, black outside."""

    method = "rotate_images"

    def __init__(self, degrees: float):
        if isinstance(degrees, bool) or not 0 < degrees <= 180:
            raise ConfigError(f"rotation.degrees must be above 0 and up to 180, got {degrees!r}")
        self.degrees = float(degrees)

    def draw(self, n: int, image_shape: Shape, rng: np.random.Generator) -> Draws:
        angles = np.deg2rad(rng.uniform(-self.degrees, self.degrees, size=n))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _offsets(n: int, reach: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(n, 2): a shift (dy, dx) in [-reach, reach] for each image."""
    offsets = rng.integers(0, 2 * reach + 1, size=(2, n)).T - reach
    return np.ascontiguousarray(offsets, np.int32)


def _at_least(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ConfigError(f"{name} must be an integer of at least {low}, got {value!r}")
    return int(value)


def _inside(name: str, value: int, image_shape: Shape) -> None:
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
