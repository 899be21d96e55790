"""A row for every rule about pictures and folders of them that can be broken."""

import sys
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import image_folder, load_dataset, read_image
from gpucnn.errors import ConfigError, DataError
from tests.data.samples import (
    refused,
)


def tree(root: Path, *names: str) -> None:
    """Empty folders (ending in /) and images."""
    image = pytest.importorskip("PIL.Image")
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.new("RGB", (3, 3), "red").save(path)


@pytest.mark.parametrize(
    ("names", "extra", "words"),
    [
        ([], {}, ["train is not a folder", "<root>/train/<class>/<image>"]),
        (["train/"], {}, ["train has no class folders", "<class>"]),
        (["train/a/"], {}, ["train/a has no images", "remove the folder"]),
        (["train/a/0.png"], {"train/notes.txt": b""}, ["class folders only", "notes.txt"]),
        (["train/a/0.png"], {"train/a/notes.txt": b""}, ["a/notes.txt is not an image file"]),
        (["train/a/0.png", "train/a/b.png/"], {}, ["a/b.png is not an image file"]),
        (["train/a/0.png"], {"train/a/1.png": b""}, ["a/1.png is not a readable image"]),
        (["train/a/0.png"], {"train/a/1.png": b"<html>"}, ["a/1.png", "replace or remove it"]),
        (
            ["train/a/0.png", "train/b/0.png", "test/a/0.png", "test/c/0.png"],
            {},
            ["same class folders", "b, c"],
        ),
        (["train/a/0.png", "test/"], {}, ["test has no class folders"]),
        (["train/a/0.png", "test/a/"], {}, ["test/a has no images"]),
    ],
)
def test_image_folder(
    names: list[str], extra: dict[str, bytes], words: list[str], tmp_path: Path
) -> None:
    tree(tmp_path, *names)
    for name, data in extra.items():
        (tmp_path / name).write_bytes(data)
    load = lambda: load_dataset("image_folder", root=tmp_path, size=[2, 2])  # noqa: E731
    refused(tmp_path, DataError, words, load)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_truncated_image(keep: float, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    for name in ("x.png", "x.jpg"):
        path = tmp_path / name
        image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        words = [f"{name} is not a readable image"]
        refused(tmp_path, DataError, words, lambda path=path: read_image(path, (4, 4), 3))


def test_an_image_of_16_bits(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "x.png")
    words = ["x.png has more than 8 bits", "save it with 8"]
    refused(tmp_path, DataError, words, lambda: read_image(tmp_path / "x.png", (4, 4), 1))


def test_an_image_that_would_unpack_to_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "x.png")
    monkeypatch.setattr(pytest.importorskip("PIL.Image"), "MAX_IMAGE_PIXELS", 8)
    words = ["x.png", "DecompressionBomb"]
    refused(tmp_path, DataError, words, lambda: read_image(tmp_path / "x.png", (4, 4), 1))


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "train/a/0.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    words = ['pip install "gpucnn[images]"']
    load = lambda: image_folder.load(str(tmp_path), [2, 2])  # noqa: E731
    refused(tmp_path, ConfigError, words, load)
