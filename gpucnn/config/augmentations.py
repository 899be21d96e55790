"""The keys of the augmentations."""

from typing import Annotated

from pydantic import Field

from gpucnn.config.types import Choice, Expects, Options, PositiveInt, Probability, Spec

Augment = Annotated[Spec, Choice("an augmentation", lambda: TRANSFORMS)]


class RandomShift(Options):
    """Move the image by up to `pixels` in each direction."""

    pixels: PositiveInt


class HorizontalFlip(Options):
    """Mirror left and right."""

    probability: Probability = 0.5


class RandomCrop(Options):
    """Pad by `padding` and cut out the original size."""

    padding: PositiveInt


class Cutout(Options):
    """Blank a square of `size` pixels."""

    size: PositiveInt


class Rotation(Options):
    """Turn by up to `degrees` either way."""

    degrees: Annotated[float, Field(gt=0, le=180), Expects("a number of degrees in (0, 180]")]


TRANSFORMS: dict[str, type[Options]] = {
    "random_shift": RandomShift,
    "horizontal_flip": HorizontalFlip,
    "random_crop": RandomCrop,
    "cutout": Cutout,
    "rotation": Rotation,
}
