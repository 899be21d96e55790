"""Your own image files: root/train/<class>/*.png and, if there is a test set, root/test/<class>/.

Needs Pillow, imported only here. Classes are the folders' names in sorted order.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset, Splits
from gpucnn.errors import ConfigError, DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB"}


def load(root: str, size: Sequence[int], channels: int = 3) -> Splits:
    """Read all images of a folder tree, resized to `size` (H, W), grey (1) or RGB (3) channels.

    DataError names the folder or file that is missing, empty or damaged.
    """
    height, width = _check(size, channels)
    base = Path(root)
    classes = _class_names(base / "train")
    if (base / "test").is_dir():
        test_classes = _class_names(base / "test")
        if test_classes != classes:
            odd = sorted(set(classes) ^ set(test_classes))
            raise DataError(
                f"{base}/train and {base}/test must have the same class folders; only one of them"
                f" has {', '.join(odd)}"
            )
        return Splits(
            _read_split(base / "train", classes, (height, width), channels),
            _read_split(base / "test", classes, (height, width), channels),
        )
    return Splits(_read_split(base / "train", classes, (height, width), channels), None)


def read_image(path: Path, size: Sequence[int], channels: int) -> NDArray[np.uint8]:
    """One image file as uint8 (C, H, W), turned upright and resized (bilinear) to `size` (H, W).

    DataError where it is missing, damaged, or has more than 8 bits a channel.
    """
    height, width = _check(size, channels)
    pil, ops = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pil.DecompressionBombWarning)
            with pil.open(path) as image:
                mode = image.mode
                if mode[0] not in "IF":
                    # By way of RGBA: Pillow cannot drop some palettes' transparency at once.
                    plain = image.convert("RGBA") if mode == "P" else image
                    upright = ops.exif_transpose(plain).convert(_MODES[channels])
                    pixels = np.asarray(upright.resize((width, height), pil.Resampling.BILINEAR))
    except Exception as error:  # on a damaged file Pillow's many decoders raise nearly anything
        raise DataError(
            f"{path} is not a readable image ({type(error).__name__}: {error}); replace or"
            " remove it"
        ) from error
    if mode[0] in "IF":  # convert() would clip these to 255
        raise DataError(f"{path} has more than 8 bits a channel (mode {mode}): save it with 8")
    chw: NDArray[np.uint8] = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return chw


def _check(size: Sequence[int], channels: int) -> tuple[int, int]:
    if channels not in _MODES or isinstance(channels, bool):
        raise ConfigError(f"image_folder.channels must be 1 or 3, got {channels!r}")
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in size)
    ):
        raise ConfigError(f"image_folder.size must be two positive integers [H, W], got {size!r}")
    return size[0], size[1]


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ConfigError(
            'reading image files needs Pillow: pip install "gpucnn[images]"'
        ) from error
    return Image, ImageOps


def _visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _class_names(split: Path) -> tuple[str, ...]:
    if not split.is_dir():
        raise DataError(f"{split} is not a folder: image_folder reads <root>/train/<class>/<image>")
    stray = [p.name for p in _visible(split) if not p.is_dir()]
    if stray:
        raise DataError(f"{split} must hold class folders only, it also has {', '.join(stray)}")
    classes = tuple(p.name for p in _visible(split))
    if not classes:
        raise DataError(f"{split} has no class folders: put images into {split}/<class>/")
    return classes


def _read_split(
    split: Path, classes: tuple[str, ...], size: tuple[int, int], channels: int
) -> Dataset:
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = _visible(split / name)
        if not files:
            raise DataError(f"{split / name} has no images: add some or remove the folder")
        for path in files:
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                raise DataError(
                    f"{path} is not an image file ({' '.join(SUFFIXES)}): move it elsewhere"
                )
        paths += files
        labels += [label] * len(files)
    images = np.empty((len(paths), channels, *size), np.uint8)
    for i, path in enumerate(paths):
        images[i] = read_image(path, size, channels)
    return Dataset(images, np.array(labels, np.int32), classes)
