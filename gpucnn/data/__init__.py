"""Data sets, their transforms and the loader that makes batches of them."""

import difflib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpucnn.data import cifar10, digits, image_folder, npz, synthetic
from gpucnn.data.dataset import Dataset, Normalization, Splits, split_validation
from gpucnn.data.files import ENVIRONMENT
from gpucnn.data.image_folder import read_image
from gpucnn.data.loader import PREFETCH, Batch, Drawn, Loader
from gpucnn.data.mnist import FASHION_MNIST, MNIST
from gpucnn.data.transforms import (
    TRANSFORMS,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    RandomShift,
    Rotation,
    Transform,
)
from gpucnn.errors import ConfigError
from gpucnn.images import scale

__all__ = [
    "DATASETS",
    "DOWNLOADS",
    "ENVIRONMENT",
    "PREFETCH",
    "TRANSFORMS",
    "Batch",
    "Cutout",
    "Dataset",
    "Drawn",
    "HorizontalFlip",
    "Loader",
    "Normalization",
    "RandomCrop",
    "RandomShift",
    "Rotation",
    "Splits",
    "Transform",
    "download_dataset",
    "image_count",
    "load_dataset",
    "read_image",
    "scale",
    "split_validation",
]

DOWNLOADS: dict[str, Callable[[Path], list[Path]]] = {
    "mnist": MNIST.download,
    "fashion_mnist": FASHION_MNIST.download,
    "cifar10": cifar10.download,
}


PUBLISHED = {"digits": 1_797, "mnist": 70_000, "fashion_mnist": 70_000, "cifar10": 60_000}
"""Images of the data sets that are the same everywhere, for training and testing together."""


def _npz(path: str) -> Splits:
    return npz.read_npz(Path(path))


# Each takes the options of its kind as keywords; root and download only where it has them.
DATASETS: dict[str, Callable[..., Splits]] = {
    "digits": digits.load,
    "mnist": MNIST.load,
    "fashion_mnist": FASHION_MNIST.load,
    "cifar10": cifar10.load,
    "npz": _npz,
    "image_folder": image_folder.load,
    "synthetic": synthetic.load,
}


def load_dataset(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    **options: Any,
) -> Splits:
    """The training and test set of one of DATASETS.

    `root` (default data/<name>) and `download` count for the sets that have files to look for:
    root, root/<name> and $GPUCNN_DATA/<name> are searched, downloads go to root. Other options:
    npz path; image_folder size, channels; synthetic samples, classes, image. ConfigError for an
    unknown set or option; DataError, naming file and remedy, for files missing or damaged.
    """
    if name not in DATASETS:
        raise ConfigError(
            f"unknown data set {name!r}{_nearest(name)}: use one of {_list(DATASETS)}"
        )
    load = DATASETS[name]
    accepted = inspect.signature(load).parameters
    given = dict(options)
    if name in DOWNLOADS:
        given |= {"root": str(root) if root is not None else f"data/{name}", "download": download}
    elif "root" in accepted:
        if root is None:
            raise ConfigError(f"data set {name} needs root: the folder with its files")
        given["root"] = str(root)
    for key in given:
        if key not in accepted:
            raise ConfigError(
                f"data set {name} has no option {key!r}: it takes {_list(accepted) or 'none'}"
            )
    for key, parameter in accepted.items():
        if parameter.default is parameter.empty and key not in given:
            raise ConfigError(f"data set {name} needs the option {key!r}")
    return load(**given)


def image_count(name: str, **options: Any) -> int | None:
    """How many images a data set has by its name and options; None where its files decide."""
    if name == "synthetic":
        return sum(synthetic.counts(options["samples"], options["classes"]))
    return PUBLISHED.get(name)


def download_dataset(name: str, root: str | os.PathLike[str]) -> list[Path]:
    """Have the files of mnist, fashion_mnist or cifar10 in `root`; return their paths.

    Files already there are checked and kept. ConfigError for a set that needs no download;
    DataError where no mirror works or a file that is there is damaged.
    """
    if name in DOWNLOADS:
        return DOWNLOADS[name](Path(root))
    if name in DATASETS:
        raise ConfigError(
            f"data set {name} needs no download; those that do are {_list(DOWNLOADS)}"
        )
    raise ConfigError(f"unknown data set {name!r}{_nearest(name)}: use one of {_list(DOWNLOADS)}")


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(str(name), DATASETS, 1)
    return f", perhaps {close[0]!r}" if close else ""


def _list(names: Any) -> str:
    return ", ".join(names)
