"""What a data set is: images, labels, class names; its splits; its normalisation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import draws
from gpucnn.errors import ConfigError, DataError
from gpucnn.images import normalize_images, scale

_BLOCK = 4096  # images scaled at a time, so that statistics need little extra memory


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    images: (N, C, H, W). uint8 stands for value / 255; float32 is taken as it is, on the same
    scale ([0, 1], 0 black). labels: int32 (N,), each an index into `classes`. DataError where
    these do not fit together.
    """

    images: NDArray[Any]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or 0 in images.shape:
            raise DataError(
                f"images must be (N, C, H, W) with at least one image, got shape {images.shape}"
            )
        if images.dtype not in (np.uint8, np.float32):
            raise DataError(f"images must be uint8 or float32, got {images.dtype}")
        if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
            raise DataError(
                f"labels must be int32 of shape ({len(images)},), one for each image, got"
                f" {labels.dtype} of shape {labels.shape}"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            raise DataError(
                f"labels must be 0 to {len(self.classes) - 1}, one of the {len(self.classes)}"
                f" classes, but they go from {low} to {high}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, c, h, w = self.images.shape
        return c, h, w

    def subset(self, indices: NDArray[np.integer[Any]]) -> "Dataset":
        """The images and labels at `indices`, in that order."""
        return Dataset(self.images[indices], self.labels[indices], self.classes)


@dataclass(frozen=True, eq=False)
class Splits:
    """A training set and, if the data has one, a test set of the same classes and image shape."""

    train: Dataset
    test: Dataset | None

    def __post_init__(self) -> None:
        if self.test is None:
            return
        for what in ("image_shape", "classes"):
            train, test = getattr(self.train, what), getattr(self.test, what)
            if train != test:
                raise DataError(
                    f"training and test set must have the same {what}, got {train} and {test}"
                )


@dataclass(frozen=True)
class Normalization:
    """(x - mean) / std for each channel, on [0, 1]-scaled pixels.

    ConfigError where mean and std differ in length, or a std is not positive and finite.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ConfigError(
                f"normalization needs a mean and a std for each channel, got {len(self.mean)}"
                f" means and {len(self.std)} stds"
            )
        if not all(math.isfinite(m) for m in self.mean):
            raise ConfigError(f"normalization means must be finite, got {self.mean}")
        if not all(math.isfinite(s) and s > 0 for s in self.std):
            raise ConfigError(f"normalization stds must be positive and finite, got {self.std}")

    @classmethod
    def of(cls, dataset: Dataset) -> "Normalization":
        """Mean and standard deviation of the data's channels, summed in float64.

        A constant channel gets std 1: it becomes 0 everywhere.
        """
        count = dataset.images.size // dataset.image_shape[0]
        mean = _channel_sums(dataset.images, 0.0, 1) / count
        std = np.sqrt(_channel_sums(dataset.images, mean, 2) / count)
        # Rounding leaves a constant channel a std of some ulps of its mean instead of zero.
        constant = std <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
        return cls(tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist()))

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and std as float32 (C,): what images are normalised with."""
        return np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)

    def apply(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The images (N, C, H, W), normalised."""
        return normalize_images(images, *self.arrays())


def _channel_sums(images: NDArray[Any], mean: Any, power: int) -> NDArray[np.float64]:
    """Sum of (pixel - mean)**power for each channel."""
    sums = np.zeros(images.shape[1])
    shift = np.broadcast_to(np.asarray(mean, np.float64), sums.shape)[:, None, None]
    for start in range(0, len(images), _BLOCK):
        block = scale(images[start : start + _BLOCK]).astype(np.float64)
        sums += ((block - shift) ** power).sum(axis=(0, 2, 3))
    return sums


def split_validation(train: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """Set aside round(fraction * N) images for validation, each class in proportion.

    Drawn from `seed`; both parts keep the data's order. Fraction 0 gives (train, None).
    ConfigError for a fraction outside [0, 1); DataError where one part would be empty.
    """
    if isinstance(fraction, bool) or not 0 <= fraction < 1:
        raise ConfigError(f"validation must be a fraction from 0 to below 1, got {fraction!r}")
    if fraction == 0:
        return train, None
    total = round(fraction * len(train))
    if not 0 < total < len(train):
        raise DataError(
            f"a validation fraction of {fraction} leaves {total} of {len(train)} images for"
            " validation and the rest for training; neither may be empty: use 0 or another fraction"
        )
    held = np.zeros(len(train), dtype=bool)
    for label, take in enumerate(_shares(train, total)):
        members = np.flatnonzero(train.labels == label)
        rng = draws.generator(seed, "validation", label)
        held[rng.permutation(members)[:take]] = True
    return train.subset(np.flatnonzero(~held)), train.subset(np.flatnonzero(held))


def _shares(train: Dataset, total: int) -> Sequence[int]:
    """How many of each class make `total`: proportional, largest remainders rounded up."""
    exact = np.bincount(train.labels, minlength=len(train.classes)) * (total / len(train))
    shares = np.floor(exact).astype(np.int64)
    up = np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]
    shares[up] += 1
    return [int(n) for n in shares]
