"""CIFAR-10 in its binary version, from the archive or from its unpacked files.

A batch file is 10,000 records of one label byte and 3,072 pixels (red, green, blue planes of
32 x 32). The archive is read as a stream of exactly named members: nothing is unpacked to disk,
nothing pickled is read.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpucnn.data import files
from gpucnn.data.dataset import Dataset, Splits
from gpucnn.data.files import RemoteFile
from gpucnn.errors import DataError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILE = "test_batch.bin"
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
RECORDS = 10_000  # in a batch file
_RECORD = 1 + 3 * 32 * 32
_REMEDY = "replace it, or remove it and download it again"


def load(root: str, download: bool) -> Splits:
    """Read the six batch files: the unpacked ones if all are there, else out of the archive.

    Without either the archive is downloaded to `root` if `download`. DataError names the file.
    """
    places = files.folders("cifar10", root)
    found = _find(places)
    if found is None:
        if not download:
            raise files.missing(
                f"cifar10: neither {ARCHIVE.name} nor the six .bin files", places, "cifar10"
            )
        found = files.fetch(ARCHIVE, MIRRORS, Path(root))
    return read_archive(found) if isinstance(found, Path) else _read_batches(found)


def download(root: Path) -> list[Path]:
    """Have CIFAR-10 in `root` (or root/cifar10): what is there is checked and kept."""
    found = _find([root, root / "cifar10"])
    if found is None:
        return [files.fetch(ARCHIVE, MIRRORS, root)]
    if isinstance(found, Path):
        read_archive(found)
        return [found]
    _read_batches(found)
    return found


def _find(places: Sequence[Path]) -> Path | list[Path] | None:
    """The six batch files, or the archive, or None."""
    for place in [folder for p in places for folder in (p, p / FOLDER)]:
        batches = [place / name for name in (*TRAIN_FILES, TEST_FILE)]
        if all(path.is_file() for path in batches):
            return batches
    return files.find(places, (ARCHIVE.name,))


def _read_batches(paths: Sequence[Path]) -> Splits:
    """Training and test set from the paths of the six batch files, in order."""
    size = RECORDS * _RECORD
    contents = []
    for path in paths:
        try:
            with path.open("rb") as stream:
                data = stream.read(size + 1)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}; {_REMEDY}") from error
        if len(data) != size:
            found = f"{len(data)} bytes" if len(data) < size else f"more than {size} bytes"
            raise DataError(
                f"{path} has {found}; a CIFAR-10 batch file has {size}"
                f" ({RECORDS} records of {_RECORD}); {_REMEDY}"
            )
        contents.append((str(path), data))
    return _splits(contents)


def read_archive(path: Path) -> Splits:
    """Training and test set out of cifar-10-binary.tar.gz; DataError where it is damaged."""
    wanted = [f"{FOLDER}/{name}" for name in (*TRAIN_FILES, TEST_FILE)]
    members: dict[str, bytes] = {}
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=_Bounded(unpacked, path), mode="r|") as archive,
        ):
            for member in archive:
                if member.name in wanted:
                    if member.name in members:
                        raise DataError(f"{path} has {member.name} twice; {_REMEDY}")
                    members[member.name] = _member(archive, member, path)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{path} is not a readable .tar.gz: {error}; {_REMEDY}") from error
    absent = [name for name in wanted if name not in members]
    if absent:
        raise DataError(f"{path} lacks {', '.join(absent)}; {_REMEDY}")
    return _splits([(f"{path} ({name})", members[name]) for name in wanted])


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    size = RECORDS * _RECORD
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None or member.size != size:
        raise DataError(
            f"{path}: {member.name} must be a plain file of {size} bytes ({RECORDS} records of"
            f" {_RECORD}), it has {member.size}; {_REMEDY}"
        )
    return stream.read(size)


class _Bounded(io.RawIOBase):
    """A stream that refuses to unpack far more than CIFAR-10 is, whatever headers ask for."""

    def __init__(self, stream: gzip.GzipFile, path: Path):
        super().__init__()
        self._stream = stream
        self._path = path
        self._left = 2 * (len(TRAIN_FILES) + 1) * RECORDS * _RECORD + (1 << 20)

    def read(self, size: int = -1) -> bytes:
        allowed = self._left + 1
        data = self._stream.read(allowed if size < 0 else min(size, allowed))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"{self._path} unpacks to far more than CIFAR-10 is; {_REMEDY}")
        return data


def _splits(contents: Sequence[tuple[str, bytes]]) -> Splits:
    """Training set from all but the last (name, bytes), test set from the last."""
    records = []
    for name, data in contents:
        batch = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
        if batch[:, 0].max() >= len(CLASSES):
            at = int(batch[:, 0].argmax())
            raise DataError(
                f"{name} has the label {batch[at, 0]} in record {at}; labels must be 0 to"
                f" {len(CLASSES) - 1}; {_REMEDY}"
            )
        records.append(batch)
    return Splits(_dataset(records[:-1]), _dataset(records[-1:]))


def _dataset(records: Sequence[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]) -> Dataset:
    images = np.concatenate([r[:, 1:] for r in records]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([r[:, 0] for r in records]).astype(np.int32)
    return Dataset(images, labels, CLASSES)
