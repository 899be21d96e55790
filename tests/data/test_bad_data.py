"""A row for every rule about data files and options that can be broken.

Each row must raise its error with a message that names the file or option and the remedy, and
leave every file as it was.
"""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import cifar10, load_dataset
from gpucnn.data.idx import read_idx
from gpucnn.data.npz import read_npz
from gpucnn.errors import ConfigError, DataError
from tests.data.samples import (
    CIFAR_RECORD,
    CIFAR_RECORDS,
    MNIST_NAMES,
    cifar_archive,
    cifar_files,
    idx,
    mnist_files,
    npz_bytes,
    refused,
    write_files,
)

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = MNIST_NAMES


@pytest.fixture(autouse=True)
def _small_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", CIFAR_RECORDS)
    monkeypatch.delenv("GPUCNN_DATA", raising=False)


def header(*sizes: int, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, len(sizes)]) + b"".join(s.to_bytes(4, "big") for s in sizes)


GOOD = mnist_files()
REPLACE = "replace the file"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({IMAGES: b""}, [IMAGES, "not an IDX file of images", REPLACE]),
        ({IMAGES: b"\x00\x00\x08"}, [IMAGES, "begins with 000008,", "00000803"]),
        ({IMAGES: b"<html>404</html>"}, [IMAGES, "begins with 3c68746d", REPLACE]),
        ({IMAGES: GOOD[LABELS]}, [IMAGES, "it is a file of labels"]),
        ({LABELS: GOOD[IMAGES]}, [LABELS, "it is a file of images"]),
        ({IMAGES: header(2, 2, 2, kind=9) + bytes(8)}, [IMAGES, "begins with 00000903"]),
        ({IMAGES: GOOD[IMAGES][:10]}, [IMAGES, "ends inside its header", REPLACE]),
        ({IMAGES: GOOD[IMAGES][:-1]}, [IMAGES, "[12, 5, 4], 240 bytes, but has only 239"]),
        ({IMAGES: GOOD[IMAGES] + b"x"}, [IMAGES, "240 bytes, but has more"]),
        ({IMAGES: header(0, 5, 4)}, [IMAGES, "announces sizes [0, 5, 4]", "from 1 to"]),
        ({IMAGES: header(*[2**32 - 1] * 3)}, [IMAGES, "announces sizes", "are allowed"]),
        ({IMAGES: header(2**10, 2**10, 2**11) + b"x"}, [IMAGES, "2147483648", "has only 1"]),
        ({LABELS: GOOD[LABELS][:-1]}, [LABELS, "has only 11"]),
        ({LABELS: idx(np.full(12, 10))}, [LABELS, "a label 10 at position 0", "0 to 9"]),
        ({LABELS: idx(np.arange(12) + 244)}, [LABELS, "a label 255 at position 11"]),
        ({LABELS: GOOD[TEST_LABELS]}, [IMAGES, LABELS, "12 images", "6 labels", "belong together"]),
        ({TEST_IMAGES: idx(np.ones((6, 4, 5)))}, ["same image_shape", "(1, 5, 4)", "(1, 4, 5)"]),
        ({IMAGES: gzip.compress(GOOD[IMAGES])[:-9]}, [IMAGES, "cannot be read", REPLACE]),
        ({IMAGES: gzip.compress(GOOD[IMAGES])[:-8] + bytes(8)}, [IMAGES, "CRC check failed"]),
        ({IMAGES: gzip.compress(GOOD[IMAGES]) + b"junk"}, [IMAGES, "cannot be read"]),
        (
            {IMAGES: gzip.compress(header(2, 2, 2) + bytes(10**6))},
            [IMAGES, "8 bytes, but has more"],
        ),
        ({IMAGES: None}, ["mnist", IMAGES, "not found in", "gpucnn download-data", "GPUCNN_DATA"]),
    ],
)
def test_mnist(changed: dict[str, bytes | None], words: list[str], tmp_path: Path) -> None:
    files = {k: v for k, v in (GOOD | changed).items() if v is not None}
    write_files(tmp_path, files)
    refused(tmp_path, DataError, words, lambda: load_dataset("mnist", root=tmp_path))


def test_an_idx_file_that_cannot_be_opened(tmp_path: Path) -> None:
    refused(tmp_path, DataError, ["cannot be read", REPLACE], lambda: read_idx(tmp_path, 3))


def cifar(**changed: bytes) -> dict[str, bytes]:
    return cifar_files() | {f"{name}.bin": data for name, data in changed.items()}


BAD_LABEL = cifar_files()["data_batch_2.bin"][: CIFAR_RECORD * 3] + bytes([10]) * CIFAR_RECORD


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (cifar(data_batch_3=b""), ["data_batch_3.bin has 0 bytes", f"has {4 * CIFAR_RECORD}"]),
        (cifar(data_batch_3=bytes(4 * CIFAR_RECORD - 1)), ["data_batch_3.bin", "remove it"]),
        (cifar(test_batch=bytes(4 * CIFAR_RECORD + 1)), ["test_batch.bin has more than"]),
        (cifar(data_batch_2=BAD_LABEL), ["data_batch_2.bin", "label 10 in record 3", "0 to 9"]),
        ({}, ["cifar-10-binary.tar.gz", "six .bin files", "gpucnn download-data cifar10"]),
        ({"data_batch_1.bin": bytes(4 * CIFAR_RECORD)}, ["not found in", "GPUCNN_DATA"]),
    ],
)
def test_cifar10_files(changed: dict[str, bytes], words: list[str], tmp_path: Path) -> None:
    write_files(tmp_path, changed)
    refused(tmp_path, DataError, words, lambda: load_dataset("cifar10", root=tmp_path))


def tar_with(**fields: object) -> bytes:
    """The archive with one more member in front that has these fields of a TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        first = tarfile.TarInfo(f"{cifar10.FOLDER}/data_batch_1.bin")
        for key, value in fields.items():
            setattr(first, key, value)
        archive.addfile(first, io.BytesIO(bytes(first.size)))
        for name, data in cifar_files().items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


ARCHIVE = cifar_archive(cifar_files())
FAR_TOO_MUCH = 3 * 6 * CIFAR_RECORDS * CIFAR_RECORD + (1 << 20)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["not a readable .tar.gz"]),
        (b"<html>", ["not a readable .tar.gz", "remove it"]),
        (ARCHIVE[:300], ["not a readable .tar.gz"]),
        (ARCHIVE[: len(ARCHIVE) * 2 // 3], ["not a readable .tar.gz"]),
        (gzip.compress(b"x" * 2000, mtime=0), ["not a readable .tar.gz"]),
        (cifar_archive({}), ["lacks", "data_batch_1.bin", "test_batch.bin"]),
        (cifar_archive(cifar_files(), folder="../evil"), ["lacks", "data_batch_1.bin"]),
        (
            cifar_archive(cifar(test_batch=bytes(CIFAR_RECORD))),
            ["test_batch.bin must be a plain file"],
        ),
        (cifar_archive(cifar(data_batch_2=BAD_LABEL)), ["data_batch_2.bin", "label 10"]),
        (tar_with(type=tarfile.SYMTYPE, linkname="/etc/passwd"), ["data_batch_1.bin must be"]),
        (tar_with(type=tarfile.LNKTYPE, linkname="x"), ["data_batch_1.bin must be a plain file"]),
        (tar_with(type=tarfile.DIRTYPE), ["data_batch_1.bin must be a plain file"]),
        (tar_with(size=4 * CIFAR_RECORD), ["data_batch_1.bin twice"]),
        (tar_with(name="bomb", size=FAR_TOO_MUCH), ["unpacks to far more than CIFAR-10"]),
    ],
)
def test_cifar10_archives(content: bytes, words: list[str], tmp_path: Path) -> None:
    (tmp_path / cifar10.ARCHIVE.name).write_bytes(content)
    words = [cifar10.ARCHIVE.name, *words]
    refused(tmp_path, DataError, words, lambda: load_dataset("cifar10", root=tmp_path))


X, Y = np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x_train": X}, ["no array 'y_train'", "numpy.savez_compressed"]),
        ({"images": X, "labels": Y}, ["no array 'x_train'", "['images', 'labels']"]),
        ({"x_train": X, "y_train": Y, "x_test": X}, ["only one of x_test and y_test"]),
        ({"x_train": X[:, 0], "y_train": Y}, ["x_train must be (N, C, H, W)", "x_train[:, None]"]),
        (
            {"x_train": X[:0], "y_train": Y[:0].astype(int)},
            ["y_train must be (N,) with N at least"],
        ),
        ({"x_train": X[:0], "y_train": Y}, ["x_train must be", "no size 0", "(0, 1, 4, 4)"]),
        ({"x_train": np.zeros((2, 5, 5, 3), np.uint8), "y_train": Y}, ["transpose(0, 3, 1, 2)"]),
        ({"x_train": X.astype(np.int64), "y_train": Y}, ["x_train must be uint8", "int64"]),
        ({"x_train": X.astype("U1"), "y_train": Y}, ["x_train must be uint8, float32"]),
        ({"x_train": X + np.nan, "y_train": Y}, ["x_train has NaN", "clean it"]),
        ({"x_train": X + np.inf, "y_train": Y}, ["x_train has NaN, infinite"]),
        ({"x_train": X + 1e39, "y_train": Y}, ["larger than float32"]),
        ({"x_train": X, "y_train": Y * 1.0}, ["y_train must be integers", ".astype(numpy.int64)"]),
        ({"x_train": X, "y_train": np.eye(2, dtype=int)}, ["y_train must be (N,)", ".argmax(1)"]),
        ({"x_train": X, "y_train": Y - 1}, ["labels from 0", "from -1 to 0"]),
        ({"x_train": X, "y_train": Y + 2**40}, ["labels from 0"]),
        ({"x_train": X, "y_train": Y[:1]}, ["train arrays", "shape (2,)", "(1,)"]),
        ({"x_train": X, "y_train": Y, "classes": np.array(["a"])}, ["0 to 0", "from 0 to 1"]),
        ({"x_train": X, "y_train": Y, "classes": np.array(["a", "a"])}, ["a name twice"]),
        ({"x_train": X, "y_train": Y, "classes": Y}, ["classes must be", "strings", "int64"]),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :, :3], "y_test": Y},
            ["same image_shape", "(1, 4, 4)", "(1, 3, 4)"],
        ),
        (
            {
                "x_train": X,
                "y_train": Y,
                "x_test": X,
                "y_test": Y + 1,
                "classes": np.array(["a", "b"]),
            },
            ["test arrays", "0 to 1", "to 2"],
        ),
    ],
)
def test_npz_arrays(arrays: dict[str, np.ndarray], words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    refused(tmp_path, DataError, ["set.npz", *words], lambda: load_dataset("npz", path=str(path)))


class Evil:
    """Creates a file when unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


def npz_with_header(text: str) -> bytes:
    """An .npz whose x_train.npy has this header and no data."""
    body = text.encode() + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "x_train.npy", b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body
        )
    return buffer.getvalue()


NPZ = npz_bytes(x_train=X, y_train=Y)
HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 1, 1, 1)}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an npz",
        NPZ[:-30],
        NPZ[:60] + bytes(20) + NPZ[80:],
        npz_with_header(HUGE % 10**15),
        npz_with_header(HUGE % 10**30),
        npz_with_header(HUGE % -1),
        npz_with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
        npz_with_header("{"),
    ],
    ids=lambda content: str(len(content)),
)
def test_npz_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    words = ["set.npz is not a readable .npz", "numpy.savez_compressed"]
    refused(tmp_path, DataError, words, lambda: read_npz(path))


def test_an_npy_file_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with path.open("wb") as out:
        np.save(out, X)
    words = ["set.npz is not a readable .npz"]
    refused(tmp_path, DataError, words, lambda: read_npz(path))


@pytest.mark.parametrize("pickled", ["whole file", "array"])
def test_nothing_pickled_is_run(pickled: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "set.npz", tmp_path / "trace"
    if pickled == "whole file":
        path.write_bytes(pickle.dumps(Evil(trace)))
    else:
        np.savez(path, x_train=np.array([Evil(trace)], object))
    refused(tmp_path, DataError, ["set.npz", "plain arrays"], lambda: read_npz(path))
    assert not trace.exists()


def test_no_npz(tmp_path: Path) -> None:
    words = ["none.npz is not a file", "the path"]
    refused(tmp_path, DataError, words, lambda: read_npz(tmp_path / "none.npz"))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mnits", {}, ["'mnits', perhaps 'mnist'", "digits, mnist"]),
        ("zzz", {}, ["'zzz': use one of digits"]),
        ("digits", {"size": 3}, ["digits has no option 'size'", "takes none"]),
        ("mnist", {"path": "x"}, ["mnist has no option 'path'", "root, download"]),
        ("npz", {}, ["npz needs the option 'path'"]),
        ("npz", {"size": 3, "path": "x"}, ["npz has no option 'size'", "path"]),
        ("image_folder", {"size": [2, 2]}, ["image_folder needs root"]),
        ("image_folder", {"root": "x"}, ["image_folder needs the option 'size'"]),
        ("image_folder", {"root": "x", "size": [2]}, ["image_folder.size", "[H, W], got [2]"]),
        ("image_folder", {"root": "x", "size": [2, 0]}, ["two positive integers"]),
        ("image_folder", {"root": "x", "size": 8}, ["image_folder.size"]),
        ("image_folder", {"root": "x", "size": [2, 2], "channels": 2}, ["channels must be 1 or 3"]),
        ("synthetic", {"classes": 1}, ["synthetic.classes", "at least 2, got 1"]),
        ("synthetic", {"samples": 9}, ["synthetic.samples", "at least 10, got 9"]),
        ("synthetic", {"samples": 1e3}, ["synthetic.samples", "1000.0"]),
        ("synthetic", {"image": [8, 8]}, ["synthetic.image must be [C, H, W], got [8, 8]"]),
        ("synthetic", {"image": [1, 8, 0]}, ["synthetic.image", "at least 1, got 0"]),
    ],
)
def test_options(name: str, options: dict[str, object], words: list[str], tmp_path: Path) -> None:
    load = lambda: load_dataset(name, **options)  # type: ignore[arg-type]  # noqa: E731
    refused(tmp_path, ConfigError, words, load)
