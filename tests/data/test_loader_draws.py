"""What a loader draws for an epoch, apart from the images that it makes of it."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gpucnn.data import (
    TRANSFORMS,
    Cutout,
    Dataset,
    HorizontalFlip,
    Loader,
    Normalization,
    RandomShift,
    Rotation,
)
from gpucnn.errors import ConfigError

AUGMENT = [RandomShift(2), Rotation(20.0), Cutout(3), HorizontalFlip()]
NORMALIZATION = Normalization((0.3, 0.4), (0.2, 0.1))


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    yield
    assert [t.name for t in threading.enumerate() if t.name == "gpucnn-loader"] == []


class Untouched(np.ndarray):
    """Images that nobody may read."""

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError("an image was read")


def loader(**changed: Any) -> Loader:
    images = np.random.default_rng(0).integers(0, 256, (23, 2, 7, 6)).astype(np.uint8)
    labels = (np.arange(23) % 3).astype(np.int32)
    options = {
        "batch_size": 5, "normalization": NORMALIZATION, "augment": AUGMENT, "shuffle": True,
        "seed": 3, "prefetch": 2,
    }  # fmt: skip
    return Loader(Dataset(images, labels, ("a", "b", "c")), **(options | changed))


def test_the_batches_are_those_of_the_draws() -> None:
    """Images made of what `drawn` gives, by the definitions, are those of `epoch`."""
    of = loader()
    for epoch, start in ((0, 0), (1, 2)):
        batches, drawn = list(of.epoch(epoch, start)), list(of.drawn(epoch, start))
        assert len(batches) == len(drawn) == 5 - start
        for batch, what in zip(batches, drawn, strict=True):
            np.testing.assert_array_equal(batch.labels, what.labels)
            np.testing.assert_array_equal(batch.indices, what.indices)
            images = of.dataset.images[what.indices].astype(np.float32) / np.float32(255)
            for transform, draws in zip(AUGMENT, what.draws, strict=True):
                images = transform.apply(images, draws)
            mean, std = (np.float32(a)[:, None, None] for a in ((0.3, 0.4), (0.2, 0.1)))
            np.testing.assert_array_equal(batch.images, (images - mean) / std)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_draws_do_not_depend_on_where_an_epoch_begins(prefetch: int) -> None:
    whole, rest = list(loader().drawn(4)), list(loader(prefetch=prefetch).drawn(4, 3))
    for a, b in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(a.indices, b.indices)
        for x, y in zip(a.draws, b.draws, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


def test_draws_differ_by_epoch_batch_and_seed() -> None:
    runs = [loader().drawn(0), loader().drawn(1), loader(seed=4).drawn(0)]
    turns = [b.draws[1].tobytes() for run in runs for b in run]
    assert len(set(turns)) == len(turns)


def test_no_image_is_read() -> None:
    of = loader()
    object.__setattr__(of.dataset, "images", of.dataset.images.view(Untouched))
    assert len(list(of.drawn(0))) == 5
    with pytest.raises(AssertionError, match="an image was read"):
        next(of.epoch(0))


def test_a_set_without_transforms_draws_its_order_alone() -> None:
    batch = next(loader(augment=[], shuffle=False).drawn(2))
    assert batch.indices.tolist() == [0, 1, 2, 3, 4]
    assert batch.draws == ()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_draw_is_a_row_an_image(name: str) -> None:
    """So that what a step is fed has a size that its batch's decides."""
    assert {type(t) for t in AUGMENT} < set(TRANSFORMS.values())
    key = {"horizontal_flip": "probability", "cutout": "size", "rotation": "degrees"}
    value = {"horizontal_flip": 0.5, "rotation": 15.0}.get(name, 2)
    kwargs = {key.get(name, "padding" if name == "random_crop" else "pixels"): value}
    drawn = TRANSFORMS[name](**kwargs).draw(4, (2, 7, 6), np.random.default_rng(0))
    assert drawn.shape in ((4,), (4, 2))
    assert drawn.flags.c_contiguous


def test_a_start_outside_the_epoch_is_refused() -> None:
    with pytest.raises(ConfigError, match="from 0 to 5"):
        loader().drawn(0, 6)


def test_breaking_off_ends_the_thread() -> None:
    for _ in loader(prefetch=1).drawn(0):
        break
