"""What each data set yields when its files are good."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.data import DATASETS, DOWNLOADS, cifar10, digits, load_dataset, npz, read_image
from gpucnn.data.idx import read_idx
from tests.data.samples import (
    CIFAR_RECORDS,
    MNIST_NAMES,
    cifar_archive,
    cifar_files,
    idx,
    mnist_files,
    real_mnist,
    write_files,
)


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", CIFAR_RECORDS)


class TestDigits:
    def test_they_are_1437_and_360_images_of_all_ten_digits(self) -> None:
        splits = load_dataset("digits")
        assert splits.test is not None
        assert (len(splits.train), len(splits.test)) == (1437, 360)
        assert splits.train.image_shape == (1, 8, 8)
        assert splits.train.images.dtype == np.uint8
        assert splits.train.classes == tuple("0123456789")
        counts = [np.bincount(s.labels, minlength=10) for s in (splits.train, splits.test)]
        totals = counts[0] + counts[1]
        assert totals.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        # Stratified: each digit has its share of the test images, to less than one image.
        assert (abs(counts[1] - totals * (360 / 1797)) < 1).all()

    def test_no_test_image_is_also_a_training_image(self) -> None:
        splits = load_dataset("digits")
        assert splits.test is not None
        train = {x.tobytes() for x in splits.train.images}
        assert not [i for i, x in enumerate(splits.test.images) if x.tobytes() in train]

    def test_their_pixels_are_17_levels_up_to_255(self) -> None:
        levels = np.unique(load_dataset("digits").train.images)
        assert levels.tolist() == [round(v * 255 / 16) for v in range(17)]

    def test_they_are_those_of_scikit_learn(self) -> None:
        source = pytest.importorskip(
            "sklearn.datasets", reason="scikit-learn is not installed: pip install scikit-learn"
        ).load_digits()
        splits = load_dataset("digits")
        assert splits.test is not None

        def key(pixels: np.ndarray, label: int) -> tuple[bytes, int]:
            return np.rint(pixels.reshape(64)).astype(np.uint8).tobytes(), int(label)

        ours = [
            key(x / 255.0 * 16, y)
            for s in (splits.train, splits.test)
            for x, y in zip(s.images, s.labels, strict=True)
        ]
        theirs = [key(x, y) for x, y in zip(source.images, source.target, strict=True)]
        assert sorted(ours) == sorted(theirs)

    def test_source_and_licence_are_stated_beside_them(self) -> None:
        text = digits.PATH.with_name("digits_LICENSE.txt").read_text(encoding="utf-8")
        for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "scikit-learn", "BSD"):
            assert words in text


class TestIdx:
    @given(
        shape=st.one_of(
            st.tuples(st.integers(1, 9)),
            st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
        ),
        packed=st.booleans(),
    )
    def test_what_is_written_is_read(
        self, shape: tuple[int, ...], packed: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        path = tmp_path_factory.mktemp("idx") / "file"
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
        np.testing.assert_array_equal(read_idx(path, len(shape)), array)

    def test_a_big_file_is_read_whole(self, tmp_path: Path) -> None:
        # Larger than one piece of reading, so that the pieces must join up.
        array = np.random.default_rng(0).integers(0, 256, (11, 700, 700), np.uint8)
        path = tmp_path / "file"
        path.write_bytes(idx(array))
        np.testing.assert_array_equal(read_idx(path, 3), array)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
class TestIdxSets:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize("place", ["root", "below", "environment"])
    def test_the_files_are_found(
        self, name: str, suffix: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = tmp_path / "root"
        folder = {"root": root, "below": root / name, "environment": tmp_path / "env" / name}
        monkeypatch.setenv("GPUCNN_DATA", str(tmp_path / "env"))
        plain = mnist_files()
        write_files(folder[place], {k + suffix: v for k, v in plain.items()})
        splits = load_dataset(name, root=root)
        assert splits.test is not None
        assert splits.train.images.shape == (12, 1, 5, 4)
        assert splits.train.images.tobytes() == plain[MNIST_NAMES[0]][16:]
        assert splits.train.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
        assert splits.test.images.tobytes() == plain[MNIST_NAMES[2]][16:]
        assert splits.test.labels.tolist() == [0, 1, 2, 3, 4, 5]
        assert len(splits.train.classes) == 10

    def test_the_root_comes_before_the_environment(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_files(tmp_path / "root", mnist_files(n=4))
        write_files(tmp_path / name, mnist_files(n=8))
        monkeypatch.setenv("GPUCNN_DATA", str(tmp_path))
        assert len(load_dataset(name, root=tmp_path / "root").train) == 4

    def test_the_default_root_is_data_slash_name(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_files(tmp_path / "data" / name, mnist_files(n=4))
        assert len(load_dataset(name).train) == 4

    def test_half_a_set_is_not_mixed_with_another(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        half = dict(list(mnist_files(n=4).items())[:2])
        write_files(tmp_path / "root", half)
        write_files(tmp_path / name, mnist_files(n=8))
        monkeypatch.setenv("GPUCNN_DATA", str(tmp_path))
        splits = load_dataset(name, root=tmp_path / "root")
        assert splits.test is not None
        assert (len(splits.train), len(splits.test)) == (8, 4)


def test_the_published_mnist() -> None:
    folder = real_mnist()
    if folder is None:
        pytest.skip("no MNIST files: set GPUCNN_DATA or run `gpucnn download-data mnist`")
    splits = load_dataset("mnist", root=folder)
    assert splits.test is not None
    # The well-known SHA-256 of the unpacked files, without their headers' part in it.
    for data, n, digest in (
        (splits.train, 60000, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        (splits.test, 10000, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ):
        assert data.images.shape == (n, 1, 28, 28)
        header = bytes([0, 0, 8, 3]) + b"".join(s.to_bytes(4, "big") for s in (n, 28, 28))
        assert hashlib.sha256(header + data.images.tobytes()).hexdigest() == digest
        assert set(np.unique(data.labels)) == set(range(10))
    assert splits.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@pytest.mark.usefixtures("small_cifar")
class TestCifar10:
    @pytest.mark.parametrize("form", ["archive", "files", "unpacked folder"])
    def test_it_is_read_in_every_form(self, form: str, tmp_path: Path) -> None:
        if form == "archive":
            (tmp_path / cifar10.ARCHIVE.name).write_bytes(cifar_archive(cifar_files()))
        else:
            write_files(tmp_path if form == "files" else tmp_path / cifar10.FOLDER, cifar_files())
        splits = load_dataset("cifar10", root=tmp_path)
        assert splits.test is not None
        assert splits.train.images.shape == (5 * CIFAR_RECORDS, 3, 32, 32)
        assert splits.test.images.shape == (CIFAR_RECORDS, 3, 32, 32)
        for n, x in enumerate(np.concatenate([splits.train.images, splits.test.images])):
            i, j = divmod(n, CIFAR_RECORDS)
            assert [set(plane.ravel().tolist()) for plane in x] == [{i}, {j}, {i + j}]
        assert splits.test.labels.tolist() == [5, 6, 7, 8]
        assert splits.train.classes[3] == "cat"


class TestNpz:
    @pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
    def test_all_arrays(self, dtype: str, tmp_path: Path) -> None:
        path = tmp_path / "set.npz"
        x = np.arange(48).reshape(2, 2, 3, 4)
        np.savez(
            path,
            x_train=x.astype(dtype),
            y_train=np.array([0, 2], np.int64),
            x_test=x[:1].astype(dtype),
            y_test=np.array([1], np.uint8),
            classes=np.array(["cat", "dog", "eel"]),
        )
        splits = load_dataset("npz", path=str(path))
        assert splits.test is not None
        np.testing.assert_array_equal(splits.train.images, x)
        assert splits.train.images.dtype == (np.uint8 if dtype == "uint8" else np.float32)
        assert splits.train.labels.tolist() == [0, 2]
        assert splits.test.labels.tolist() == [1]
        assert splits.train.classes == ("cat", "dog", "eel")

    def test_a_training_set_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "set.npz"
        np.savez(path, x_train=np.zeros((2, 1, 3, 3), np.uint8), y_train=np.array([0, 3]))
        splits = npz.read_npz(path)
        assert splits.test is None
        assert splits.train.classes == ("0", "1", "2", "3")

    def test_classes_count_the_test_labels_too(self, tmp_path: Path) -> None:
        path = tmp_path / "set.npz"
        x = np.zeros((1, 1, 3, 3), np.uint8)
        np.savez(path, x_train=x, y_train=np.array([0]), x_test=x, y_test=np.array([2]))
        assert npz.read_npz(path).train.classes == ("0", "1", "2")


class TestImageFolder:
    def test_folders_are_classes(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        for split, counts in (("train", {"dog": 2, "cat": 1}), ("test", {"cat": 1, "dog": 1})):
            for name, count in counts.items():
                folder = tmp_path / split / name
                folder.mkdir(parents=True)
                (folder / ".hidden").write_text("not an image")
                for i in range(count):
                    pixels = np.full((6, 4, 3), (10, 20 + i, 30), np.uint8)
                    image.fromarray(pixels).save(folder / f"{i}.png")
        splits = load_dataset("image_folder", root=tmp_path, size=[3, 2])
        assert splits.test is not None
        assert splits.train.classes == ("cat", "dog")
        assert splits.train.labels.tolist() == [0, 1, 1]
        assert splits.test.labels.tolist() == [0, 1]
        assert splits.train.images.shape == (3, 3, 3, 2)
        for x, green in zip(splits.train.images, (20, 20, 21), strict=True):
            assert [set(plane.ravel().tolist()) for plane in x] == [{10}, {green}, {30}]

    def test_without_a_test_folder(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        for name in "ab":
            (tmp_path / "train" / name).mkdir(parents=True)
            image.new("L", (2, 2)).save(tmp_path / "train" / name / "0.png")
        splits = load_dataset("image_folder", root=tmp_path, size=[2, 2], channels=1)
        assert splits.test is None
        assert splits.train.image_shape == (1, 2, 2)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_8_bit_mode(self, mode: str, channels: int, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
        image.new("RGBA", (3, 2), "white").convert(mode).save(path)
        x = read_image(path, (2, 3), channels)
        assert x.shape == (channels, 2, 3)
        assert (x == 255).all()

    def test_a_palette_with_transparency(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        palette = image.new("L", (3, 2), 200).convert("P")
        palette.save(tmp_path / "x.png", transparency=bytes(range(256)))
        assert (read_image(tmp_path / "x.png", (2, 3), 3) == 200).all()

    def test_grey_keeps_its_levels(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        image.fromarray(pixels).save(tmp_path / "x.png")
        np.testing.assert_array_equal(read_image(tmp_path / "x.png", (16, 16), 1)[0], pixels)

    def test_a_picture_taken_sideways_stands_upright(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        pixels = np.zeros((8, 16), np.uint8)
        pixels[:, :8] = 255
        exif = image.Exif()
        exif[0x0112] = 6  # orientation: turn clockwise to view
        image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
        x = read_image(tmp_path / "x.png", (16, 8), 1)[0]
        np.testing.assert_array_equal(x, np.rot90(pixels, -1))


class TestSynthetic:
    def test_it_is_a_function_of_its_options(self) -> None:
        a, b = (load_dataset("synthetic", samples=20, classes=3, image=[2, 5, 6]) for _ in "ab")
        assert a.train.images.tobytes() == b.train.images.tobytes()
        assert a.train.image_shape == (2, 5, 6)
        assert np.bincount(a.train.labels).tolist() == [7, 7, 6]
        assert a.test is not None
        assert len(a.test) == 4

    @pytest.mark.parametrize(
        ("classes", "image"), [(10, [1, 8, 8]), (2, [3, 5, 7]), (5, [1, 3, 4])]
    )
    def test_its_classes_can_be_told_apart(self, classes: int, image: list[int]) -> None:
        splits = load_dataset("synthetic", samples=40 * classes, classes=classes, image=image)
        assert splits.test is not None
        x, y = splits.train.images.reshape(len(splits.train), -1) / 255, splits.train.labels
        means = np.stack([x[y == k].mean(0) for k in range(classes)])
        tested = splits.test.images.reshape(len(splits.test), 1, -1) / 255
        nearest = ((tested - means) ** 2).sum(2).argmin(1)
        assert (nearest == splits.test.labels).mean() > 0.9

    def test_train_and_test_differ(self) -> None:
        splits = load_dataset("synthetic", samples=10, classes=10)
        assert splits.test is not None
        assert splits.train.images.tobytes() != splits.test.images.tobytes()


def test_downloads_are_data_sets() -> None:
    assert DOWNLOADS.keys() <= DATASETS.keys()
