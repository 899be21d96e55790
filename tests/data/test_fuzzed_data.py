"""Files of noise, and files with some bytes changed: read, or refused as gpucnn refuses."""

import contextlib
import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucnn.data import cifar10, load_dataset
from gpucnn.data.idx import read_idx
from gpucnn.data.npz import read_npz
from gpucnn.errors import GpucnnError
from tests.data.samples import (
    CIFAR_RECORD,
    CIFAR_RECORDS,
    cifar_archive,
    cifar_files,
    idx,
    npz_bytes,
)


@pytest.fixture(autouse=True)
def _small_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", CIFAR_RECORDS)
    monkeypatch.delenv("GPUCNN_DATA", raising=False)


def only_gpucnn_errors(act: Callable[[], object]) -> None:
    """Any other error fails the test."""
    with contextlib.suppress(GpucnnError):
        act()


ARCHIVE = cifar_archive(cifar_files())
NPZ = npz_bytes(x_train=np.zeros((2, 1, 4, 4), np.uint8), y_train=np.array([0, 1]))
SMALL_IDX = idx(np.arange(24).reshape(2, 3, 4))

fuzzed = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with some overwritten, cut out or put in."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 8))
        data[at:end] = draw(st.binary(max_size=8))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


@fuzzed
@given(
    content=st.binary(max_size=64)
    | st.binary(max_size=40).map(lambda b: b"\x00\x00\x08\x03" + b)
    | damaged(SMALL_IDX)
    | damaged(SMALL_IDX).map(gzip.compress)
    | damaged(gzip.compress(SMALL_IDX, mtime=0)),
    rank=st.sampled_from([1, 3]),
)
def test_fuzzed_idx(content: bytes, rank: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    only_gpucnn_errors(lambda: read_idx(path, rank))


@fuzzed
@given(content=damaged(gzip.decompress(ARCHIVE)[: 8 * 512]).map(gzip.compress) | damaged(ARCHIVE))
def test_fuzzed_cifar_archives(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    only_gpucnn_errors(lambda: cifar10.read_archive(path))


@fuzzed
@given(block=st.binary(max_size=600), typeflag=st.sampled_from(b"0123456789LKSxgV"))
def test_fuzzed_tar_headers(block: bytes, typeflag: int, tmp_path: Path) -> None:
    # With a right checksum a header gets past the first look: long names, sparse maps, pax records.
    head = bytearray(tarfile.TarInfo("name").tobuf())
    head[156] = typeflag
    size = f"{len(block):011o}\0".encode()
    head[124:136] = size
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head[:512]):06o}\0 ".encode()
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(bytes(head) + block.ljust(1024, b"\0") + bytes(1024)))
    only_gpucnn_errors(lambda: cifar10.read_archive(path))


@fuzzed
@given(
    sizes=st.lists(st.integers(0, 2) | st.just(CIFAR_RECORDS), min_size=6, max_size=6),
    data=st.data(),
)
def test_fuzzed_cifar_files(sizes: list[int], data: st.DataObject, tmp_path: Path) -> None:
    for name, n in zip(cifar_files(), sizes, strict=True):
        label = data.draw(st.integers(0, 12))
        odd = data.draw(st.integers(0, 1))
        (tmp_path / name).write_bytes(bytes([label]) * (n * CIFAR_RECORD + odd))
    only_gpucnn_errors(lambda: load_dataset("cifar10", root=tmp_path))


@fuzzed
@given(content=damaged(NPZ) | st.binary(max_size=50).map(lambda b: b"PK\x03\x04" + b))
def test_fuzzed_npz(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    only_gpucnn_errors(lambda: read_npz(path))
