"""Your own arrays from an .npz file.

x_train, x_test: (N, C, H, W), uint8 (0 to 255) or float (taken as it is, on the [0, 1] scale).
y_train, y_test: (N,) integers from 0. The test pair may be left out. Optional `classes`: names.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset, Splits
from gpucnn.errors import DataError


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """All arrays of an .npz file by name, pickled objects refused; DataError names the file."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the path")
    try:
        # Opened here: np.load leaves a damaged file open if it opened it itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # on a damaged file the zip and array parsers raise nearly anything
        raise DataError(
            f"{path} is not a readable .npz of plain arrays"
            f" ({type(error).__name__}: {error}); write it with numpy.savez_compressed"
        ) from error


def read_npz(path: Path) -> Splits:
    """The splits in an .npz file; DataError names the file, the array and what it should be."""
    arrays = read_arrays(path)
    for key in ("x_train", "y_train"):
        if key not in arrays:
            raise DataError(
                f"{path} has no array {key!r}, it has {sorted(arrays)}: save it with"
                " numpy.savez_compressed(path, x_train=..., y_train=..., x_test=..., y_test=...)"
            )
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} has only one of x_test and y_test: give both or neither")
    splits = ["train", "test"] if "x_test" in arrays else ["train"]
    labels = {s: check_labels(arrays[f"y_{s}"], f"{path}: y_{s}") for s in splits}
    if "classes" in arrays:
        classes = _class_names(arrays["classes"], path)
    else:
        classes = tuple(str(i) for i in range(max(int(y.max()) for y in labels.values()) + 1))
    sets = []
    for split in splits:
        images = check_images(arrays[f"x_{split}"], f"{path}: x_{split}")
        try:
            sets.append(Dataset(images, labels[split], classes))
        except DataError as error:
            raise DataError(f"{path}, {split} arrays: {error}") from error
    try:
        return Splits(sets[0], sets[1] if len(sets) == 2 else None)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def check_images(x: NDArray[np.generic], what: str) -> NDArray[np.uint8] | NDArray[np.float32]:
    """x as images: rank 4, uint8 or finite floats (float64 rounded to float32); else DataError."""
    if x.ndim != 4 or 0 in x.shape:
        hint = ""
        if x.ndim == 3:
            hint = f"; for grey images give {what.rpartition(' ')[2]}[:, None]"
        raise DataError(f"{what} must be (N, C, H, W) with no size 0, it has shape {x.shape}{hint}")
    if x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise DataError(
            f"{what} has shape {x.shape}, which looks like (N, H, W, C): save it as (N, C, H, W)"
            " with .transpose(0, 3, 1, 2)"
        )
    if x.dtype == np.uint8:
        return x.view(np.uint8)
    if x.dtype not in (np.float32, np.float64):
        raise DataError(f"{what} must be uint8, float32 or float64, it is {x.dtype}: convert it")
    if not np.abs(x.astype(np.float64)).max() <= np.finfo(np.float32).max:
        raise DataError(f"{what} has NaN, infinite or larger than float32 values: clean it")
    return x.astype(np.float32)


def check_labels(y: NDArray[np.generic], what: str) -> NDArray[np.int32]:
    """y as labels: (N,) integers from 0 that fit int32; DataError otherwise."""
    if y.dtype.kind not in "iu":
        raise DataError(f"{what} must be integers, it is {y.dtype}: use .astype(numpy.int64)")
    if y.ndim != 1 or y.size == 0:
        hint = "; for one-hot rows use .argmax(1)" if y.ndim == 2 and y.size else ""
        raise DataError(f"{what} must be (N,) with N at least 1, it has shape {y.shape}{hint}")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= 1 << 20:
        raise DataError(
            f"{what} must hold labels from 0 (below 1048576), they go from {low} to {high}"
        )
    return y.astype(np.int32)


def _class_names(classes: NDArray[np.generic], path: Path) -> tuple[str, ...]:
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise DataError(
            f"{path}: classes must be a 1-d array of strings, it is {classes.dtype} of shape"
            f" {classes.shape}"
        )
    names = tuple(str(c) for c in classes)
    if len(set(names)) != len(names):
        raise DataError(f"{path}: classes has a name twice: {list(names)}")
    return names
