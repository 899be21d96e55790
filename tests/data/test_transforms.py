"""The augmentations against loops over single images."""

import math

import numpy as np
import pytest

from gpucnn.data import (
    TRANSFORMS,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    RandomShift,
    Rotation,
    Transform,
)
from gpucnn.errors import ConfigError
from gpucnn.images import rotate_images

N, C, H, W = 40, 2, 6, 5
ALL = [RandomShift(2), RandomCrop(3), HorizontalFlip(0.5), Cutout(3), Rotation(30)]


def images() -> np.ndarray:
    """No two pixels alike and none of them zero."""
    return (np.arange(N * C * H * W, dtype=np.float32).reshape(N, C, H, W) + 1) / 4096


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shifted(x: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """One image (C, H, W) moved down by dy and right by dx."""
    out = np.zeros_like(x)
    for i in range(H):
        for j in range(W):
            if 0 <= i - dy < H and 0 <= j - dx < W:
                out[:, i, j] = x[:, i - dy, j - dx]
    return out


def test_the_table_names_them_all() -> None:
    assert {type(t) for t in ALL} == set(TRANSFORMS.values())


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
class TestEveryTransform:
    def test_it_leaves_its_argument_alone(self, transform: Transform) -> None:
        x = images()
        y = transform(x, rng())
        np.testing.assert_array_equal(x, images())
        assert not np.shares_memory(x, y)

    def test_it_keeps_shape_and_dtype(self, transform: Transform) -> None:
        y = transform(images(), rng())
        assert y.shape == (N, C, H, W)
        assert y.dtype == np.float32
        assert y.flags.c_contiguous

    def test_it_is_a_function_of_the_generator(self, transform: Transform) -> None:
        first, again, other = (transform(images(), rng(s)) for s in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("transform", [RandomShift(2), RandomCrop(2)])
def test_every_image_is_shifted_on_its_own(transform: Transform) -> None:
    offsets = set()
    for x, y in zip(images(), transform(images(), rng()), strict=True):
        matches = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(y, shifted(x, dy, dx))
        ]
        assert len(matches) == 1
        offsets.add(matches[0])
    # 40 images, 25 equally likely offsets: about 20 different ones; the reach is used.
    assert len(offsets) > 10
    assert {dy for dy, _ in offsets} == {dx for _, dx in offsets} == {-2, -1, 0, 1, 2}


def test_horizontal_flip_mirrors_some() -> None:
    flips = 0
    for x, y in zip(images(), HorizontalFlip(0.25)(images(), rng()), strict=True):
        flipped = np.array_equal(y, x[:, :, ::-1])
        assert flipped or np.array_equal(y, x)
        flips += flipped
    assert 0 < flips < N // 2


@pytest.mark.parametrize(("probability", "flips"), [(0, 0), (1, N)])
def test_horizontal_flip_never_and_always(probability: float, flips: int) -> None:
    x = images()
    y = HorizontalFlip(probability)(x, rng())
    np.testing.assert_array_equal(y, x[:, :, :, ::-1] if flips else x)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_cutout_blackens_one_square(size: int) -> None:
    corners = set()
    for x, y in zip(images(), Cutout(size)(images(), rng()), strict=True):
        hole = y[0] == 0
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        # A full square, or what the border leaves of it: at least its centre's half.
        assert hole.sum() == len(rows) * len(columns)
        for line, length in ((rows, H), (columns, W)):
            assert line.tolist() == list(range(line[0], line[-1] + 1))
            if line[0] > 0 and line[-1] < length - 1:
                assert len(line) == size
            assert size // 2 <= len(line) <= size
        np.testing.assert_array_equal(y, np.where(hole, 0, x))
        corners.add((int(rows[0]), int(columns[0])))
    assert len(corners) > 5


def rotate(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    return rotate_images(x, np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_rotation_by_zero_and_right_angles_is_exact() -> None:
    x = images()[:, :, :5]  # square
    # Coordinates of size <= 5 carry a few float64 ulps, pixels <= 1 their float32 rounding.
    tolerance = 8 * np.finfo(np.float32).eps
    for turns in range(4):
        angles = np.full(N, turns * math.pi / 2)
        np.testing.assert_allclose(rotate(x, angles), np.rot90(x, turns, (2, 3)), atol=tolerance)
    np.testing.assert_array_equal(rotate(images(), np.zeros(N)), images())


def bilinear(x: np.ndarray, angle: float) -> np.ndarray:
    """One image turned counter-clockwise, pixel by pixel in float64, 0 outside."""
    out = np.zeros(x.shape)

    def pixel(i: int, j: int) -> np.ndarray:
        return x[:, i, j] if 0 <= i < H and 0 <= j < W else np.zeros(C)

    for i in range(H):
        for j in range(W):
            v, u = i - (H - 1) / 2, j - (W - 1) / 2
            # Image rows go down, so turning the picture counter-clockwise looks up clockwise.
            si = math.cos(angle) * v + math.sin(angle) * u + (H - 1) / 2
            sj = math.cos(angle) * u - math.sin(angle) * v + (W - 1) / 2
            i0, j0 = math.floor(si), math.floor(sj)
            for a, wa in ((i0, 1 - (si - i0)), (i0 + 1, si - i0)):
                for b, wb in ((j0, 1 - (sj - j0)), (j0 + 1, sj - j0)):
                    out[:, i, j] += wa * wb * pixel(a, b)
    return out


def test_rotation_is_bilinear() -> None:
    angles = np.linspace(-math.pi, math.pi, N)
    y = rotate(images(), angles)
    # Four products of float32 weights with pixels below 1, each rounded a few times.
    tolerance = 16 * np.finfo(np.float32).eps
    for x, turned, angle in zip(images(), y, angles, strict=True):
        np.testing.assert_allclose(turned, bilinear(x, float(angle)), atol=tolerance)


def test_rotation_stays_within_its_degrees() -> None:
    # A bar far from the centre moves sideways by radius * sin(angle), at most 1.9 pixels here.
    x = np.zeros((200, 1, 31, 31), np.float32)
    x[:, 0, 0, 15] = 1
    y = Rotation(7)(x, rng())
    columns = np.flatnonzero(y.any((0, 1, 2)))
    assert columns.min() >= 15 - 2
    assert columns.max() <= 15 + 2
    assert len(columns) >= 4  # both directions


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: RandomShift(0), "random_shift.pixels"),
        (lambda: RandomShift(1.5), "random_shift.pixels"),  # type: ignore[arg-type]
        (lambda: RandomShift(True), "random_shift.pixels"),
        (lambda: RandomCrop(-1), "random_crop.padding"),
        (lambda: HorizontalFlip(1.5), "horizontal_flip.probability"),
        (lambda: HorizontalFlip(float("nan")), "horizontal_flip.probability"),
        (lambda: Cutout(0), "cutout.size"),
        (lambda: Rotation(0), "rotation.degrees"),
        (lambda: Rotation(181), "rotation.degrees"),
        (lambda: RandomShift(5).check((1, 9, 5)), "use less than 5"),
        (lambda: RandomCrop(9).check((1, 9, 12)), "use less than 9"),
        (lambda: Cutout(8).check((1, 8, 8)), "use less than 8"),
    ],
)
def test_what_is_not_allowed(make: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make()  # type: ignore[operator]
