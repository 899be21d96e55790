"""Dataset, Splits, Normalization and the validation split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.data import Dataset, Normalization, Splits, scale, split_validation
from gpucnn.errors import ConfigError, DataError


def dataset(labels: list[int], classes: int = 3, dtype: str = "uint8") -> Dataset:
    """Images of one pixel whose value is their position."""
    images = np.arange(len(labels), dtype=dtype).reshape(-1, 1, 1, 1)
    return Dataset(images, np.array(labels, np.int32), tuple("abcdefghij"[:classes]))


def test_a_dataset_knows_its_size_and_shape() -> None:
    data = Dataset(np.zeros((2, 3, 4, 5), np.uint8), np.zeros(2, np.int32), ("a",))
    assert len(data) == 2
    assert data.image_shape == (3, 4, 5)


def test_a_subset_keeps_the_order_asked_for() -> None:
    part = dataset([0, 1, 2]).subset(np.array([2, 0]))
    assert part.images.ravel().tolist() == [2, 0]
    assert part.labels.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((2, 4, 5), np.uint8), np.zeros(2, np.int32), ["(N, C, H, W)", "(2, 4, 5)"]),
        (np.zeros((0, 1, 4, 5), np.uint8), np.zeros(0, np.int32), ["at least one", "(0, 1, 4, 5)"]),
        (np.zeros((2, 1, 4, 5)), np.zeros(2, np.int32), ["uint8 or float32", "float64"]),
        (np.zeros((2, 1, 4, 5), np.uint8), np.zeros(3, np.int32), ["shape (2,)", "(3,)"]),
        (np.zeros((2, 1, 4, 5), np.uint8), np.zeros(2), ["int32", "float64"]),
        (np.zeros((2, 1, 4, 5), np.uint8), np.array([0, 2], np.int32), ["0 to 1", "to 2"]),
        (np.zeros((2, 1, 4, 5), np.uint8), np.array([-1, 0], np.int32), ["0 to 1", "from -1"]),
    ],
)
def test_what_does_not_fit_together_is_refused(
    images: np.ndarray, labels: np.ndarray, words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        Dataset(images, labels, ("a", "b"))
    assert all(word in str(caught.value) for word in words)


def test_splits_must_agree() -> None:
    with pytest.raises(DataError, match="same classes"):
        Splits(dataset([0, 1]), dataset([0, 1], classes=2))
    other = Dataset(np.zeros((1, 1, 2, 1), np.uint8), np.zeros(1, np.int32), ("a", "b", "c"))
    with pytest.raises(DataError, match="same image_shape"):
        Splits(dataset([0]), other)


def test_scale_divides_bytes_by_255_and_copies_floats() -> None:
    levels = np.arange(256, dtype=np.uint8)
    # One rounding from the exact quotient, so equal to the rounded float64 quotient.
    np.testing.assert_array_equal(scale(levels), (levels / 255).astype(np.float32))
    x = np.ones(3, np.float32)
    assert scale(x) is not x
    np.testing.assert_array_equal(scale(x), x)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_normalization_of_a_data_set(dtype: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 2, 3, 2)).astype(dtype)  # more than one block
    data = Dataset(images, np.zeros(5000, np.int32), ("a",))
    norm = Normalization.of(data)
    x = images.astype(np.float64) / (255 if dtype == "uint8" else 1)
    # float32 rounding of each pixel: half an ulp of the largest, and it averages out.
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(norm.mean, x.mean((0, 2, 3)), rtol=eps)
    np.testing.assert_allclose(norm.std, x.std((0, 2, 3)), rtol=eps)


def test_a_constant_channel_becomes_zero() -> None:
    images = np.full((7, 1, 3, 3), 0.1, np.float32)
    data = Dataset(images, np.zeros(7, np.int32), ("a",))
    norm = Normalization.of(data)
    assert norm.std == (1.0,)
    np.testing.assert_array_equal(norm.apply(images), 0)


def test_apply_works_for_each_channel() -> None:
    x = np.ones((1, 2, 1, 1), np.float32)
    y = Normalization((0.5, 3.0), (0.25, 4.0)).apply(x)
    assert y.ravel().tolist() == [2.0, -0.5]
    assert x.ravel().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("mean", "std", "word"),
    [
        ((0.0,), (1.0, 1.0), "1 means and 2 stds"),
        ((), (), "0 means"),
        ((float("nan"),), (1.0,), "finite"),
        ((0.0,), (0.0,), "positive"),
        ((0.0,), (float("inf"),), "positive and finite"),
    ],
)
def test_a_bad_normalization_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...], word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        Normalization(mean, std)


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**64 - 1),
)
def test_the_split_is_stratified_whole_and_ordered(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = [k for k, n in enumerate(counts) for _ in range(n)]
    data = dataset(labels, classes=len(counts), dtype="float32")
    total = round(fraction * len(data))
    if not 0 < total < len(data):
        with pytest.raises(DataError, match="fraction"):
            split_validation(data, fraction, seed)
        return
    train, held = split_validation(data, fraction, seed)
    assert held is not None
    assert len(held) == total
    for k, n in enumerate(counts):
        # Largest remainders: each class is less than one image from its exact share.
        assert abs((held.labels == k).sum() - n * total / len(data)) < 1
    positions = [part.images.ravel().astype(int).tolist() for part in (train, held)]
    assert sorted(positions[0] + positions[1]) == list(range(len(data)))
    assert all(p == sorted(p) for p in positions)
    again = split_validation(data, fraction, seed)[1]
    assert again is not None
    np.testing.assert_array_equal(again.images, held.images)


def test_the_split_depends_on_the_seed() -> None:
    data = dataset([0, 1] * 50, dtype="float32")
    picks = {tuple(split_validation(data, 0.2, s)[1].images.ravel()) for s in range(4)}  # type: ignore[union-attr]
    assert len(picks) == 4


def test_no_validation() -> None:
    data = dataset([0, 1, 2])
    assert split_validation(data, 0, 0) == (data, None)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), True])
def test_a_bad_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction from 0 to below 1"):
        split_validation(dataset([0, 1]), fraction, 0)
