"""The loader: orders, positions, and a thread that always ends."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from gpucnn.data import Batch, Dataset, Loader, Normalization, RandomShift, Transform
from gpucnn.errors import ConfigError, DataError

N = 23


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    yield
    assert [t.name for t in threading.enumerate() if t.name == "gpucnn-loader"] == []


def data(dtype: str = "uint8") -> Dataset:
    """Image i is filled with i + 1."""
    images = np.empty((N, 2, 4, 4), dtype)
    images[:] = np.arange(1, N + 1).reshape(-1, 1, 1, 1)
    return Dataset(images, (np.arange(N) % 3).astype(np.int32), ("a", "b", "c"))


def loader(dataset: Dataset | None = None, **changed: object) -> Loader:
    options: dict[str, object] = {
        "batch_size": 5,
        "normalization": None,
        "shuffle": True,
        "seed": 3,
        "prefetch": 2,
    }
    return Loader(dataset or data(), **(options | changed))  # type: ignore[arg-type]


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
    )


class Fail(Transform):
    """Raises in the nth draw."""

    method = "flip_images"

    def __init__(self, nth: int, error: BaseException):
        self.left, self.error = nth, error

    def draw(self, n: int, image_shape: object, rng: np.random.Generator) -> np.ndarray:
        if self.left == 0:
            raise self.error
        self.left -= 1
        return np.zeros(n, np.uint8)


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_an_epoch_has_every_image_once(prefetch: int) -> None:
    batches = list(loader(prefetch=prefetch).epoch(0))
    assert [len(b.indices) for b in batches] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate([b.indices for b in batches]).tolist()) == list(range(N))
    for b in batches:
        assert b.images.dtype == np.float32
        assert b.labels.dtype == np.int32
        assert b.images.flags.c_contiguous
        np.testing.assert_array_equal(b.labels, b.indices % 3)
        expected = ((b.indices + 1) / 255).astype(np.float32)
        np.testing.assert_array_equal(b.images[:, 1, 2, 3], expected)


def test_floats_are_taken_as_they_are() -> None:
    batch = next(loader(data("float32"), shuffle=False).epoch(0))
    assert batch.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_normalization_is_applied() -> None:
    norm = Normalization((0.5, 0.25), (2.0, 4.0))
    plain = next(loader(shuffle=False).epoch(0)).images
    batch = next(loader(shuffle=False, normalization=norm).epoch(0)).images
    np.testing.assert_array_equal(batch[:, 0], (plain[:, 0] - np.float32(0.5)) / np.float32(2))
    np.testing.assert_array_equal(batch[:, 1], (plain[:, 1] - np.float32(0.25)) / np.float32(4))


def test_the_data_set_is_never_changed() -> None:
    dataset = data("float32")
    norm = Normalization((1.0, 1.0), (2.0, 2.0))
    list(loader(dataset, normalization=norm, augment=[RandomShift(1)]).epoch(0))
    np.testing.assert_array_equal(dataset.images, data("float32").images)


def test_augmentation_comes_before_normalization() -> None:
    # Shifted-in pixels are black, so normalised they are -mean / std and not 0.
    norm = Normalization((0.5, 0.5), (0.25, 0.25))
    images = next(loader(normalization=norm, augment=[RandomShift(3)]).epoch(0)).images
    assert (images == -2).any()
    assert not (images == 0).any()


def test_orders_are_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        batches = loader(seed=seed).epoch(epoch)
        return tuple(np.concatenate([b.indices for b in batches]).tolist())

    assert order(3, 0) == order(3, 0)
    assert len({order(3, 0), order(3, 1), order(4, 0), tuple(range(N))}) == 4


def test_without_shuffle_the_order_is_the_data_s() -> None:
    indices = np.concatenate([b.indices for b in loader(shuffle=False).epoch(7)])
    assert indices.tolist() == list(range(N))


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_a_start_skips_and_changes_nothing(start: int, prefetch: int) -> None:
    make = loader(augment=[RandomShift(2)], prefetch=prefetch)
    whole = list(make.epoch(2))
    assert same(list(make.epoch(2, start)), whole[start:])


def test_prefetching_changes_nothing() -> None:
    runs = [list(loader(augment=[RandomShift(2)], prefetch=p).epoch(1)) for p in (0, 1, 3)]
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


def test_augmentation_differs_by_epoch_and_batch() -> None:
    make = loader(
        Dataset(np.full((10, 1, 9, 9), 255, np.uint8), np.zeros(10, np.int32), ("a",)),
        augment=[RandomShift(4)],
    )
    seen = [b.images.tobytes() for epoch in (0, 1) for b in make.epoch(epoch)]
    assert len(set(seen)) == 4


def test_drop_last() -> None:
    make = loader(drop_last=True)
    assert len(make) == 4
    assert [len(b.indices) for b in make.epoch(0)] == [5, 5, 5, 5]
    assert len(loader(batch_size=N)) == len(loader(batch_size=N, drop_last=True)) == 1
    assert len(loader()) == 5


def test_breaking_off_ends_the_thread() -> None:
    for _ in loader(prefetch=1).epoch(0):
        break
    batches = loader().epoch(0)
    next(batches)
    batches.close()
    loader().epoch(0).close()  # never begun


def test_an_error_of_the_consumer_ends_the_thread() -> None:
    def consume() -> None:
        for _ in loader(prefetch=1).epoch(0):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        consume()


@pytest.mark.parametrize("nth", [0, 2])
@pytest.mark.parametrize("prefetch", [0, 1, 8])
def test_an_error_of_the_thread_reaches_the_consumer(nth: int, prefetch: int) -> None:
    error = DataError("planted")
    got: list[Batch] = []
    with pytest.raises(DataError, match="planted") as caught:
        got.extend(loader(augment=[Fail(nth, error)], prefetch=prefetch).epoch(0))
    assert caught.value is error
    assert len(got) == nth


def test_even_an_exit_of_the_thread_reaches_the_consumer() -> None:
    with pytest.raises(SystemExit):
        list(loader(augment=[Fail(1, SystemExit(3))]).epoch(0))


def test_no_more_is_prepared_than_asked_for() -> None:
    calls = []
    gate = threading.Event()

    class Count(Transform):
        method = "flip_images"

        def draw(self, n: int, image_shape: object, rng: np.random.Generator) -> np.ndarray:
            calls.append(1)
            if len(calls) == 3:
                gate.set()
            return np.zeros(n, np.uint8)

    batches = loader(augment=[Count()], prefetch=2).epoch(0)
    next(batches)
    assert gate.wait(30)  # one handed over, two ahead of it
    batches.close()
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1 or 'all', got 0"),
        (
            {"batch_size": "some"},
            "batch_size must be an integer of at least 1 or 'all', got 'some'",
        ),
        ({"batch_size": 2.0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"prefetch": -1}, "prefetch"),
        ({"seed": -1}, "seed"),
        ({"batch_size": N + 1, "drop_last": True}, "drop_last leaves no batch: 23 images"),
        ({"normalization": Normalization((0.0,), (1.0,))}, "has 1 channels, the images have 2"),
        ({"augment": [RandomShift(4)]}, "use less than 4"),
    ],
)
def test_what_is_not_allowed(changed: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        loader(**changed)


@pytest.mark.parametrize("drop_last", [False, True])
def test_all_is_the_whole_set_in_one_batch(drop_last: bool) -> None:
    whole = loader(batch_size="all", drop_last=drop_last)
    assert (len(whole), whole.batch_size) == (1, N)
    (batch,) = whole.epoch(0)
    assert sorted(batch.indices.tolist()) == list(range(N))


@pytest.mark.parametrize("start", [-1, 6])
def test_a_start_outside_the_epoch_is_refused(start: int) -> None:
    with pytest.raises(ConfigError, match="from 0 to 5"):
        loader().epoch(0, start)
