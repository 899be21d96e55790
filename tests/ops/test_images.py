"""Batches made on the device: the bits of loops over pixels, of gpucnn.images and of the loader."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpucnn
from gpucnn import images as on_host
from gpucnn.data import TRANSFORMS, Dataset, Loader, Normalization, Transform
from gpucnn.errors import DataError, ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import call, rng
from tests.ops.test_fused import assert_bits
from tests.oracles import images as oracle

Shape = tuple[int, ...]
# In the last, cosines times places need more digits than a number has.
SHAPES = [(3, 2, 5, 7), (2, 1, 1, 1), (4, 3, 8, 8), (0, 2, 3, 3), (2, 1, 1, 6), (1, 2, 23, 21)]
MOST = 2**31 - 1


def pixels(shape: Shape, dtype: str, seed: int = 0) -> np.ndarray:
    """From 0 to 1; float32 as the data sets have it, where a sum of products is inexact."""
    return rng(seed).random(shape).astype(dtype)


def odd_values(shape: Shape, dtype: str) -> np.ndarray:
    """Pixels with zeros of both signs, infinities, NaN and a denormal, to be moved as they are."""
    x = pixels(shape, dtype)
    flat = x.reshape(-1)
    values = [-0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).smallest_subnormal, 0.0]
    flat[: len(values)] = np.array(values, dtype)[: flat.size]
    return x


def pairs(n: int, low: int, high: int, seed: int = 1) -> np.ndarray:
    return rng(seed).integers(low, high + 1, (n, 2)).astype(np.int32)


def turns(angles: Any) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def check_gather_images(ops: Ops, image: Shape, dtype: str, shift: Any = lambda a: a) -> None:
    """`shift` may move the images in memory."""
    images = rng(0).integers(0, 256, (7, *image)).astype(dtype)
    if dtype == "float32":
        images /= 7
    indices = np.array([6, 0, 3, 3, 1], np.int32)
    y = ops.to_numpy(ops.gather_images(ops.asarray(shift(images)), ops.asarray(indices)))
    expected = images[indices].astype(np.float32)
    assert_bits(y, expected / np.float32(255) if dtype == "uint8" else expected)


def check_gather_rows(ops: Ops, shape: Shape, dtype: str) -> None:
    a = rng(0).integers(-(2**20), 2**20, shape).astype(dtype)
    indices = np.array([shape[0] - 1, 0, 0, shape[0] // 2], np.int32)
    assert_bits(call(ops, "gather_rows", a, indices), np.stack([a[i] for i in indices]))


def check_shift(ops: Ops, shape: Shape, dtype: str) -> None:
    x = odd_values(shape, dtype)
    for seed, reach in enumerate((1, 2, max(shape))):
        offsets = pairs(shape[0], -reach, reach, seed)
        assert_bits(call(ops, "shift_images", x, offsets), oracle.shift(x, offsets))


def check_flip(ops: Ops, shape: Shape, dtype: str) -> None:
    x, chosen = odd_values(shape, dtype), np.array([1, 0, 255, 2, 0][: shape[0]], np.uint8)
    assert_bits(call(ops, "flip_images", x, chosen), oracle.flip(x, chosen))


def check_cut_out(ops: Ops, shape: Shape, dtype: str) -> None:
    x, corners = odd_values(shape, dtype), pairs(shape[0], -2, max(shape[2:]))
    for size in (1, 2, 3, 50):
        y = call(ops, "cut_out_images", x, corners, size=size)
        assert_bits(y, oracle.cut_out(x, corners, size))


def check_rotate(ops: Ops, shape: Shape, dtype: str) -> None:
    for seed in range(3):
        x, drawn = pixels(shape, dtype, seed), turns(rng(seed).uniform(-4, 4, shape[0]))
        assert_bits(call(ops, "rotate_images", x, drawn), oracle.rotate(x, drawn))


def check_normalize(ops: Ops, shape: Shape, dtype: str) -> None:
    x = pixels(shape, dtype)
    mean, std = pixels(shape[1:2], dtype, 1), pixels(shape[1:2], dtype, 2) + np.asarray(0.1, dtype)
    assert_bits(call(ops, "normalize_images", x, mean, std), oracle.normalize(x, mean, std))


CHECKS = [check_shift, check_flip, check_cut_out, check_rotate, check_normalize]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_change_is_that_of_a_loop_over_pixels(
    ops: Ops, dtype: str, check: Any, shape: Shape
) -> None:
    check(ops, shape, dtype)


@pytest.mark.parametrize("image", [(1, 2, 2), (1, 28, 28), (3, 5, 7), (1, 1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_gathered_images(ops: Ops, dtype: str, image: Shape) -> None:
    check_gather_images(ops, image, dtype)


def test_a_pixel_is_the_nearest_number_to_its_256th(ops: Ops) -> None:
    """Of 255 parts: rounded once."""
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    y = call(ops, "gather_images", images, np.arange(256, dtype=np.int32))
    assert y.dtype == np.float32
    for value, found in enumerate(y.ravel()):
        half = Fraction(float(np.spacing(found))) / 2
        assert abs(Fraction(float(found)) - Fraction(value, 255)) <= half


def test_float_pixels_are_taken_as_they_are(ops: Ops) -> None:
    images = odd_values((2, 1, 2, 4), "float32")
    indices = np.array([1, 0, 0], np.int32)
    assert_bits(call(ops, "gather_images", images, indices), images[[1, 0, 0]])


@pytest.mark.parametrize("shape", [(5,), (5, 10), (300, 3), (4, 2, 3)])
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_gathered_rows(ops: Ops, dtype: str, shape: Shape) -> None:
    check_gather_rows(ops, shape, dtype)


@pytest.mark.parametrize("a", [np.zeros((3, 0), np.float64), np.zeros((0, 2), np.float32)])
def test_rows_of_nothing(ops: Ops, a: np.ndarray) -> None:
    indices = np.zeros(len(a), np.int32)
    assert_bits(call(ops, "gather_rows", a, indices), a)


def test_an_empty_batch(ops: Ops) -> None:
    none = np.zeros(0, np.int32)
    y = call(ops, "gather_images", np.ones((4, 1, 2, 3), np.uint8), none)
    assert (y.shape, y.dtype) == ((0, 1, 2, 3), np.float32)
    assert call(ops, "gather_rows", np.ones((4, 3)), none).shape == (0, 3)


@pytest.mark.parametrize("extreme", [-MOST - 1, MOST])
def test_the_farthest_offsets_and_corners(ops: Ops, extreme: int) -> None:
    """Nothing comes round to the other side."""
    x = np.ones((2, 1, 3, 4), np.float32)
    far = np.array([[extreme, 0], [0, extreme]], np.int32)
    assert not call(ops, "shift_images", x, far).any()
    largest = call(ops, "cut_out_images", x, far, size=MOST)
    # A square of 2³¹ - 1 that begins 2³¹ before the image ends before it.
    np.testing.assert_array_equal(largest, x)
    beside = np.array([[1 - MOST, 0], [0, 2 - MOST]], np.int32)
    expected = np.ones_like(x)
    expected[0, :, :1], expected[1, :, :, :2] = 0, 0
    np.testing.assert_array_equal(call(ops, "cut_out_images", x, beside, size=MOST), expected)


@pytest.mark.parametrize("wrong", [-1, 3, MOST, -MOST - 1])
def test_an_index_that_cannot_be(ops: Ops, wrong: int) -> None:
    """The cpu names it; kernels make NaN, or -1, of its row alone."""
    indices = np.array([2, wrong, 0], np.int32)
    for method, a in (
        ("gather_images", np.ones((3, 1, 2, 4), np.uint8)),
        ("gather_images", np.ones((3, 1, 1, 3), np.float32)),
        ("gather_rows", np.ones((3, 5), np.float32)),
        ("gather_rows", np.ones((3, 2))),
        ("gather_rows", np.ones(3, np.int32)),
    ):
        if ops.name == "cpu":
            with pytest.raises(DataError, match=rf"indices\[1\] is {wrong}, outside of the 3"):
                call(ops, method, a, indices)
            continue
        y = call(ops, method, a, indices)
        assert (y[1] == -1 if y.dtype == np.int32 else np.isnan(y[1])).all()
        assert (y[[0, 2]] > 0).all()


def test_a_label_that_is_not_there_is_found_by_the_loss() -> None:
    ops = gpucnn.get_ops("emulator")
    labels = ops.gather_rows(np.zeros(3, np.int32), np.array([0, 9], np.int32))
    loss, _ = ops.softmax_cross_entropy(ops.zeros((2, 4), "float32"), labels)
    assert np.isnan(ops.to_numpy(loss))


@pytest.mark.parametrize("wrong", [[np.nan, 0], [0, np.inf], [1.5, 0], [0, -2]])
def test_a_turn_that_cannot_be(ops: Ops, dtype: str, wrong: list[float]) -> None:
    x, drawn = pixels((2, 2, 3, 3), dtype), np.array([[1, 0], wrong], np.float64)
    if ops.name == "cpu":
        with pytest.raises(DataError, match=r"turns\[1\] is \["):
            call(ops, "rotate_images", x, drawn)
        return
    y = call(ops, "rotate_images", x, drawn)
    assert_bits(y[0], x[0])
    assert np.isnan(y[1]).all()


def test_a_turn_by_right_angles_moves_pixels(ops: Ops, dtype: str) -> None:
    x = pixels((4, 2, 6, 6), dtype)
    exact = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float64)
    expected = np.stack([np.rot90(image, k, (1, 2)) for k, image in enumerate(x)])
    np.testing.assert_array_equal(call(ops, "rotate_images", x, exact), expected)


def test_a_set_of_more_pixels_than_int32_counts() -> None:
    """Its last image, beyond 2³¹ pixels; memory that nobody touches takes no room."""
    images = np.zeros((2**11 + 1, 1, 2**10, 2**10), np.uint8)
    images[-1] = 255
    for device in ("cpu", "emulator"):
        ops = gpucnn.get_ops(device)
        y = ops.gather_images(images, np.array([2**11, 0], np.int32))
        assert (y[0] == 1).all()
        assert not y[1].any()


def test_what_shapes_are_refused(ops: Ops) -> None:
    empty, index = ops.zeros((2, 0, 3, 3), "float32"), ops.zeros((2,), "int32")
    with pytest.raises(ShapeError, match="images must have images of at least one pixel"):
        ops.gather_images(empty, index)
    with pytest.raises(ShapeError, match=r"x must have images of at least one .*\(2, 0, 3, 3\)"):
        ops.flip_images(empty, ops.zeros((2,), "uint8"))
    with pytest.raises(ShapeError, match="a must have at least one dimension"):
        ops.gather_rows(ops.zeros((), "float32"), index)
    with pytest.raises(ShapeError, match="indices must have 1 dimension"):
        ops.gather_rows(index, ops.zeros((2, 1), "int32"))
    with pytest.raises(ShapeError, match=r"the batch of shape .* more than int32"):
        ops.gather_images(ops.zeros((1, 1, 2**10, 2**10), "uint8"), ops.zeros((2**11,), "int32"))


EVERY = [
    TRANSFORMS["random_shift"](2),  # type: ignore[call-arg]
    TRANSFORMS["random_crop"](3),  # type: ignore[call-arg]
    TRANSFORMS["horizontal_flip"](0.5),  # type: ignore[call-arg]
    TRANSFORMS["cutout"](3),  # type: ignore[call-arg]
    TRANSFORMS["rotation"](30),  # type: ignore[call-arg]
]


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_a_transform_is_its_draw_and_its_method(ops: Ops, transform: Transform) -> None:
    x = pixels((9, 3, 8, 6), "float32")
    drawn = transform.draw(9, (3, 8, 6), rng(5))
    assert len(drawn) == 9
    y = call(ops, transform.method, x, drawn, **transform.options)
    assert_bits(y, transform(x, rng(5)))
    assert_bits(y, getattr(on_host, transform.method)(x, drawn, **transform.options))


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_batch_of_the_loader_made_on_the_device(ops: Ops, kind: str) -> None:
    images = rng(0).integers(0, 256, (11, 3, 8, 8)).astype(kind)
    data = Dataset(images / np.float32(255) if kind == "float32" else images,
                   (np.arange(11) % 3).astype(np.int32), ("a", "b", "c"))  # fmt: skip
    norm = Normalization.of(data)
    loader = Loader(
        data, batch_size=4, normalization=norm, augment=EVERY, shuffle=True, seed=3, prefetch=0
    )
    source, labels = ops.asarray(data.images), ops.asarray(data.labels)
    mean, std = (ops.asarray(a) for a in norm.arrays())
    for number, batch in enumerate(loader.epoch(1)):
        draws = gpucnn.draws.generator(3, "augment", 1, number)
        indices = ops.asarray(batch.indices.astype(np.int32))
        x = ops.gather_images(source, indices)
        for transform in EVERY:
            drawn = ops.asarray(transform.draw(len(batch.indices), (3, 8, 8), draws))
            x = getattr(ops, transform.method)(x, drawn, **transform.options)
        x = ops.normalize_images(x, mean, std)
        assert_bits(ops.to_numpy(x), batch.images)
        assert_bits(ops.to_numpy(ops.gather_rows(labels, indices)), batch.labels)


sizes = st.integers(1, 12)


@given(
    n=st.integers(0, 5), c=st.integers(1, 4), h=sizes, w=sizes, size=sizes,
    kind=st.sampled_from(["uint8", "float32"]), dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**20),
)  # fmt: skip
def test_kernels_have_the_bits_of_the_cpu(
    n: int, c: int, h: int, w: int, size: int, kind: str, dtype: str, seed: int
) -> None:
    cpu, emulator = gpucnn.get_ops("cpu"), gpucnn.get_ops("emulator")
    source = rng(seed).integers(0, 256, (n + 1, c, h, w)).astype(kind)
    indices = rng(seed).integers(0, n + 1, n).astype(np.int32)
    x, moves = pixels((n, c, h, w), dtype, seed), pairs(n, -14, 14, seed)
    chosen = rng(seed).integers(0, 2, n).astype(np.uint8)
    angles, std = rng(seed).uniform(-7, 7, n), pixels((c,), dtype, seed) + np.asarray(0.01, dtype)
    works: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
        ("gather_images", [source, indices], {}),
        ("gather_rows", [x if n else source.astype(dtype), indices], {}),
        ("shift_images", [x, moves], {}),
        ("flip_images", [x, chosen], {}),
        ("cut_out_images", [x, moves], {"size": size}),
        ("rotate_images", [x, turns(angles)], {}),
        ("normalize_images", [x, pixels((c,), dtype, seed + 1), std], {}),
    ]
    for method, arrays, options in works:
        if method == "gather_rows":
            arrays[1] = np.minimum(indices, max(n - 1, 0))
        expected = getattr(cpu, method)(*arrays, **options)
        assert_bits(getattr(emulator, method)(*arrays, **options), expected)
