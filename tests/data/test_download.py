"""Downloads, from servers of the test's own on the loopback."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gpucnn.data import (
    DATASETS,
    DOWNLOADS,
    cifar10,
    download_dataset,
    files,
    load_dataset,
    mnist,
)
from gpucnn.data.files import RemoteFile, fetch
from gpucnn.errors import ConfigError, DataError
from tests.data.samples import (
    CIFAR_RECORDS,
    cifar_archive,
    cifar_files,
    mnist_files,
    snapshot,
    write_files,
)

CONTENT = bytes(range(256)) * 20
FILE = RemoteFile("file.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Mirror:
    """A server of some files; it remembers what it was asked for."""

    def __init__(self, served: Mapping[str, bytes], announced: int | None = None):
        self.asked: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                mirror.asked.append(name)
                if name not in served:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(announced or len(served[name])))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the client may have seen enough
                    self.wfile.write(served[name])

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mirror]]:
    """Starts mirrors that are closed after the test."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("GPUCNN_DATA", raising=False)
    made: list[Mirror] = []

    class Kept(Mirror):
        def __init__(self, served: Mapping[str, bytes], announced: int | None = None):
            super().__init__(served, announced)
            made.append(self)

    yield Kept
    for each in made:
        each.close()


def dead_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/"


def test_a_good_mirror_is_enough(mirror: type[Mirror], tmp_path: Path) -> None:
    first, second = mirror({"file.bin": CONTENT}), mirror({})
    path = fetch(FILE, [first.url, second.url], tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.bin"
    assert snapshot(tmp_path) == {str(path): CONTENT}
    assert second.asked == []
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "damage",
    ["dead", "missing", "damaged", "truncated", "cut off", "longer", "empty"],
)
def test_the_second_mirror_steps_in(damage: str, mirror: type[Mirror], tmp_path: Path) -> None:
    served = {
        "damaged": {"file.bin": CONTENT[:-1] + b"x"},
        "truncated": {"file.bin": CONTENT[:100]},
        "cut off": {"file.bin": CONTENT[:100]},
        "longer": {"file.bin": CONTENT + b"x" * 100_000},
        "empty": {"file.bin": b""},
    }.get(damage, {})
    announced = len(CONTENT) if damage == "cut off" else None
    first = dead_url() if damage == "dead" else mirror(served, announced).url
    second = mirror({"file.bin": CONTENT})
    path = fetch(FILE, [first, second.url], tmp_path)
    assert second.asked == ["file.bin"]
    assert snapshot(tmp_path) == {str(path): CONTENT}


def test_no_mirror_works(mirror: type[Mirror], tmp_path: Path) -> None:
    dead = dead_url()
    damaged, missing = mirror({"file.bin": CONTENT[::-1]}), mirror({})
    long, short = mirror({"file.bin": CONTENT * 2}), mirror({"file.bin": b"abc"})
    urls = [dead, damaged.url, missing.url, long.url, short.url]
    with pytest.raises(DataError) as caught:
        fetch(FILE, urls, tmp_path / "data")
    message = str(caught.value)
    for words in (
        *urls,
        "refused",
        "SHA-256 is " + hashlib.sha256(CONTENT[::-1]).hexdigest(),
        "404",
        f"sent more than {len(CONTENT)} bytes",
        f"sent 3 instead of {len(CONTENT)} bytes",
        FILE.sha256,
        f"copy it to {tmp_path / 'data'}",
    ):
        assert words in message
    assert snapshot(tmp_path) == {}


def test_a_silent_mirror_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    assert files.TIMEOUT == 30
    monkeypatch.setattr(files, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match="timed out"):
            fetch(FILE, [url], tmp_path)


def test_what_is_there_is_not_written_over(mirror: type[Mirror], tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_text("mine")
    good = mirror({"file.bin": CONTENT})
    with pytest.raises(DataError, match="not written over"):
        fetch(FILE, [good.url], tmp_path)
    assert good.asked == []
    assert (tmp_path / "file.bin").read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="choose another root"):
        fetch(FILE, [], tmp_path / "taken" / "data")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(DataError, match=r"cannot write in .*choose another root"):
        fetch(FILE, ["http://unused/"], tmp_path)


def test_an_interrupted_download_leaves_nothing(
    mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(FILE, [mirror({"file.bin": CONTENT}).url], tmp_path)
    assert snapshot(tmp_path) == {}


@pytest.fixture
def small_mnist(mirror: type[Mirror], monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """A mirror of a small MNIST that gpucnn takes for the real one."""
    packed = {f"{k}.gz": gzip.compress(v, mtime=0) for k, v in mnist_files().items()}
    good = mirror(packed)
    remote = tuple(
        RemoteFile(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in packed.items()
    )
    small = dataclasses.replace(mnist.MNIST, mirrors=(good.url,), files=remote)
    monkeypatch.setitem(DATASETS, "mnist", small.load)
    monkeypatch.setitem(DOWNLOADS, "mnist", small.download)
    return good


class TestMnist:
    def test_download_and_load(self, small_mnist: Mirror, tmp_path: Path) -> None:
        splits = load_dataset("mnist", root=tmp_path / "mnist", download=True)
        assert len(splits.train) == 12
        assert len(small_mnist.asked) == 4
        before = snapshot(tmp_path)
        load_dataset("mnist", root=tmp_path / "mnist", download=True)
        load_dataset("mnist", root=tmp_path / "mnist")
        assert len(small_mnist.asked) == 4
        assert snapshot(tmp_path) == before

    def test_paths_are_returned_and_kept(self, small_mnist: Mirror, tmp_path: Path) -> None:
        paths = download_dataset("mnist", tmp_path)
        assert paths == [tmp_path / name for name in small_mnist.asked]
        assert download_dataset("mnist", tmp_path) == paths
        assert len(small_mnist.asked) == 4

    def test_only_what_is_missing_is_fetched(self, small_mnist: Mirror, tmp_path: Path) -> None:
        download_dataset("mnist", tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
        small_mnist.asked.clear()
        download_dataset("mnist", tmp_path)
        assert small_mnist.asked == ["t10k-labels-idx1-ubyte.gz"]

    def test_a_set_of_your_own_is_kept(self, small_mnist: Mirror, tmp_path: Path) -> None:
        write_files(tmp_path, mnist_files(n=6))  # unpacked, other counts: valid all the same
        before = snapshot(tmp_path)
        assert len(download_dataset("mnist", tmp_path)) == 4
        assert (small_mnist.asked, snapshot(tmp_path)) == ([], before)

    def test_a_damaged_file_is_named_and_kept(self, small_mnist: Mirror, tmp_path: Path) -> None:
        download_dataset("mnist", tmp_path)
        (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
        before = snapshot(tmp_path)
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz.*remove it"):
            download_dataset("mnist", tmp_path)
        assert snapshot(tmp_path) == before

    def test_nothing_is_fetched_unasked(self, small_mnist: Mirror, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="gpucnn download-data mnist"):
            load_dataset("mnist", root=tmp_path)
        assert small_mnist.asked == []


def test_cifar10(mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cifar_archive(cifar_files())
    good = mirror({cifar10.ARCHIVE.name: data})
    remote = RemoteFile(cifar10.ARCHIVE.name, len(data), hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(cifar10, "RECORDS", CIFAR_RECORDS)
    monkeypatch.setattr(cifar10, "ARCHIVE", remote)
    monkeypatch.setattr(cifar10, "MIRRORS", (dead_url(), good.url))
    assert len(load_dataset("cifar10", root=tmp_path, download=True).train) == 5 * CIFAR_RECORDS
    assert download_dataset("cifar10", tmp_path) == [tmp_path / remote.name]
    assert len(good.asked) == 1
    write_files(tmp_path, cifar_files())
    assert len(download_dataset("cifar10", tmp_path)) == 6
    (tmp_path / "test_batch.bin").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"test_batch\.bin"):
        download_dataset("cifar10", tmp_path)
    assert len(good.asked) == 1


def test_the_published_files_are_pinned() -> None:
    pinned = [*mnist.MNIST.files, *mnist.FASHION_MNIST.files, cifar10.ARCHIVE]
    assert len({f.sha256 for f in pinned}) == 9
    assert all(len(bytes.fromhex(f.sha256)) == 32 for f in pinned)
    for mirrors in (mnist.MNIST.mirrors, mnist.FASHION_MNIST.mirrors, cifar10.MIRRORS):
        assert len(mirrors) == 2
        assert all(url.endswith("/") and "lecun" not in url for url in mirrors)


@pytest.mark.parametrize("name", ["digits", "npz", "image_folder", "synthetic"])
def test_sets_without_a_download(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs no download.*mnist, fashion_mnist, cifar10"):
        download_dataset(name, tmp_path)


def test_an_unknown_set_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mnit', perhaps 'mnist'"):
        download_dataset("mnit", tmp_path)
