"""The IDX format of MNIST: a big-endian header (magic, sizes), then unsigned bytes.

The magic number is 0x0000TTRR: element type TT (0x08, unsigned byte) and rank RR (3 images, 1
labels). Files may be gzipped. Nothing is allocated on the word of a header: bytes are read in
pieces, no more than the header announces, and must end where it says.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.errors import DataError

_LIMIT = 1 << 31  # bytes of one file, unpacked
_CHUNK = 1 << 22
_KIND = {1: "labels", 3: "images"}
_REMEDY = "replace the file, or remove it and download it again"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes: rank 3 (N, H, W) images, rank 1 (N,) labels.

    DataError names the file and what is wrong with it.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw) as stream:
                    return _parse(stream, path, rank)
            return _parse(raw, path, rank)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; {_REMEDY}") from error


def read_pair(images_path: Path, labels_path: Path, classes: tuple[str, ...]) -> Dataset:
    """The data set of an image file and its label file; one channel.

    DataError where one is damaged, they do not belong together, or a label has no class.
    """
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} has {len(images)} images but {labels_path} has {len(labels)} labels;"
            " they do not belong together: replace one of them"
        )
    highest = int(labels.max())
    if highest >= len(classes):
        raise DataError(
            f"{labels_path} has a label {highest} at position {int(labels.argmax())}; labels must"
            f" be 0 to {len(classes) - 1}; {_REMEDY}"
        )
    return Dataset(images[:, None], labels.astype(np.int32), classes)


def _parse(stream: _Readable, path: Path, rank: int) -> NDArray[np.uint8]:
    header = _read(stream, 4 + 4 * rank)
    magic = int.from_bytes(header[:4], "big")
    if len(header) < 4 or magic != 0x0800 + rank:
        is_a = f"; it is a file of {_KIND[magic - 0x0800]}" if magic in (0x0801, 0x0803) else ""
        raise DataError(
            f"{path} is not an IDX file of {_KIND[rank]}: it begins with {bytes(header[:4]).hex()},"
            f" not {0x0800 + rank:08x}{is_a}; {_REMEDY}"
        )
    if len(header) < 4 + 4 * rank:
        raise DataError(f"{path} ends inside its header; {_REMEDY}")
    sizes = [int.from_bytes(header[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    announced = math.prod(sizes)
    if not 0 < announced <= _LIMIT:
        raise DataError(
            f"{path} announces sizes {sizes}, {announced} bytes; from 1 to {_LIMIT} are allowed;"
            f" {_REMEDY}"
        )
    data = _read(stream, announced + 1)
    if len(data) != announced:
        found = "has more" if len(data) > announced else f"has only {len(data)}"
        raise DataError(
            f"{path} announces sizes {sizes}, {announced} bytes, but {found}; {_REMEDY}"
        )
    return np.frombuffer(data, np.uint8).reshape(sizes)


def _read(stream: _Readable, count: int) -> bytearray:
    """Up to `count` bytes, fewer only at the end of the stream."""
    data = bytearray()
    while chunk := stream.read(min(_CHUNK, count - len(data))):
        data += chunk
    return data
