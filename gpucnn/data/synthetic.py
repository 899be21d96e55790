"""Made-up images that a small network can learn: one pattern a class, under noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn import draws
from gpucnn.data.dataset import Dataset, Splits
from gpucnn.errors import ConfigError

_SEED = 0  # the data are a function of the options alone, whatever the run's seed
_CELLS = 4  # a pattern is a grid of about 4 x 4 patches of one brightness
_NOISE = 0.1


def load(samples: int = 1000, classes: int = 10, image: Sequence[int] = (1, 8, 8)) -> Splits:
    """`samples` training images and a fifth as many for testing, classes in equal parts.

    image: (C, H, W). Each class has a random pattern of patches; an image is its class's pattern
    plus normal noise, as uint8. ConfigError for options that are not allowed.
    """
    classes = _count("classes", classes, 2)
    samples = _count("samples", samples, classes)
    if not isinstance(image, Sequence) or isinstance(image, str) or len(image) != 3:
        raise ConfigError(f"synthetic.image must be [C, H, W], got {image!r}")
    c, h, w = (_count("image", size, 1) for size in image)
    rng = draws.generator(_SEED, "synthetic patterns")
    patches = rng.uniform(0.1, 0.9, size=(classes, c, _CELLS, _CELLS))
    rows, columns = np.arange(h) * _CELLS // h, np.arange(w) * _CELLS // w
    patterns = patches[:, :, rows[:, None], columns[None, :]]
    names = tuple(str(i) for i in range(classes))

    def draw(split: str, count: int) -> Dataset:
        rng = draws.generator(_SEED, f"synthetic {split}")
        labels = rng.permutation(np.arange(count) % classes).astype(np.int32)
        images = patterns[labels] + rng.normal(0, _NOISE, size=(count, c, h, w))
        pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
        return Dataset(pixels, labels, names)

    train, test = counts(samples, classes)
    return Splits(draw("train", train), draw("test", test))


def counts(samples: int, classes: int) -> tuple[int, int]:
    """How many images there are for training and for testing."""
    return samples, max(classes, samples // 5)


def _count(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"synthetic.{name} must be an integer of at least {low}, got {value!r}")
    return value
