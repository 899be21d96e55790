"""Small files in the formats of the data sets, made by hand; what must hold where one is bad."""

import gzip
import io
import os
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import cifar10
from gpucnn.errors import GpucnnError

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR_RECORD = 3073  # bytes: a label and 3 planes of 32 x 32
CIFAR_RECORDS = 4  # in the batch files of these tests, instead of 10,000
CIFAR_NAMES = (*cifar10.TRAIN_FILES, cifar10.TEST_FILE)


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def mnist_files(n: int = 12, size: tuple[int, int] = (5, 4)) -> dict[str, bytes]:
    """Four IDX files by name, n training images and half as many for testing."""
    rng = np.random.default_rng(0)
    arrays = []
    for count in (n, n // 2):
        arrays += [rng.integers(0, 256, (count, *size)), np.arange(count) % 10]
    return {name: idx(array) for name, array in zip(MNIST_NAMES, arrays, strict=True)}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write each file into the folder, gzipped where its name says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def cifar_files(records: int = CIFAR_RECORDS) -> dict[str, bytes]:
    """The six batch files by name; every record's pixels say which file and record it is."""
    files = {}
    for i, name in enumerate(CIFAR_NAMES):
        rows = [
            bytes([(i + j) % 10]) + bytes([i] * 1024 + [j] * 1024 + [i + j] * 1024)
            for j in range(records)
        ]
        files[name] = b"".join(rows)
    return files


def cifar_archive(files: Mapping[str, bytes], folder: str = cifar10.FOLDER) -> bytes:
    """A .tar.gz of the files, with the stray readme that the published one has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """A compressed .npz of the arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder with its content."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(
    folder: Path, error: type[GpucnnError], words: list[str], act: Callable[[], object]
) -> None:
    """Assert the error, its words, and that no file changed."""
    before = snapshot(folder)
    with pytest.raises(error) as caught:
        act()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
    assert snapshot(folder) == before


def real_mnist() -> Path | None:
    """A folder with the published MNIST files, or None."""
    project = Path(__file__).resolve().parents[2]
    places = [project.parent / "shared" / "data" / "mnist", project / "data" / "mnist"]
    if os.environ.get("GPUCNN_DATA"):
        places.insert(0, Path(os.environ["GPUCNN_DATA"]) / "mnist")
    return next((p for p in places if all((p / f"{n}.gz").is_file() for n in MNIST_NAMES)), None)
