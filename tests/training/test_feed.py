"""What a step is fed, and the places that a graph reads it from."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.layers import Flatten, Sequential
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops import get_ops
from gpucnn.runtime.memory import HostMemory
from gpucnn.training.feed import TOGETHER, FedBatch, Feed, Places, feed_of, target_of
from tests.training import helpers


class Copies(HostMemory):
    """Memory that notes how many bytes each copy from the host brings."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def write(self, target: Any, host: Any) -> None:
        self.sizes.append(host.nbytes)
        super().write(target, host)


def arrays() -> list[Any]:
    """Of several dtypes and ranks; the last is too large to travel with the others."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 99, 5).astype(np.int32),
        rng.normal(size=(5, 2)),
        np.asarray(7, np.uint32),
        rng.integers(0, 2, 3).astype(np.uint8),
        np.zeros((0, 2), np.float32),
        rng.normal(size=(TOGETHER // 4 + 1,)).astype(np.float32),
    ]


def test_small_arrays_are_one_copy() -> None:
    ops = get_ops("emulator")
    ops.memory = copies = Copies()
    given = arrays()
    places = Places(ops, given)
    for factor in (1, 3):
        now = [factor * a for a in given]
        places.write(now)
        for place, a in zip(places.arrays, now, strict=True):
            assert (place.dtype, place.shape) == (a.dtype, a.shape)
            np.testing.assert_array_equal(place, a)
    together = 4 * 256  # each begins at a multiple of 256 bytes, and one has none
    assert copies.sizes == [together, given[-1].nbytes] * 2


def test_places_stay_and_are_apart() -> None:
    places = Places(get_ops("emulator"), arrays())
    before = [a.ctypes.data for a in places.arrays]
    places.write([a + 1 for a in arrays()])
    assert [a.ctypes.data for a in places.arrays] == before
    for i, a in enumerate(places.arrays):
        assert a.ctypes.data % 16 == 0
        assert not any(np.shares_memory(a, b) for b in places.arrays[i + 1 :])


def test_an_array_that_is_not_contiguous() -> None:
    large = np.arange(2 * TOGETHER, dtype=np.float32).reshape(2, -1).T
    places = Places(get_ops("emulator"), [large, large[:3]])
    places.write([large, large[:3]])
    for place, a in zip(places.arrays, [large, large[:3]], strict=True):
        assert place.flags.c_contiguous
        np.testing.assert_array_equal(place, a)


def test_the_feed_of_a_batch_of_the_host() -> None:
    ops = get_ops("cpu")
    batch = next(helpers.problem(4, 4).epoch(0))
    feed = feed_of(batch, SoftmaxCrossEntropy(), helpers.linear_model(ops))
    x, target = feed.batch(ops)
    assert (x is batch.images, target is batch.labels) == (True, True)


def test_a_batch_may_say_itself_what_a_step_is_fed() -> None:
    feed = Feed((np.arange(3),), lambda a: (a, a))
    batch = FedBatch(feed, np.zeros(3, np.int32), np.arange(3))
    assert feed_of(batch, SoftmaxCrossEntropy(), Sequential([Flatten()])) is feed


def test_a_key_tells_shapes_dtypes_and_kinds_apart() -> None:
    feeds = [
        Feed(tuple(np.zeros(shape, dtype) for shape in shapes), lambda a: (a, a))
        for shapes in ([3], [4], [(3, 1)], [3, 3])
        for dtype in ("float32", "int32")
    ]
    keys = [feed.key(kind) for feed in feeds for kind in ("training", "evaluation")]
    assert len(set(keys)) == len(keys)
    assert feeds[0].key("training") == Feed((np.ones(3, "float32"),), max).key("training")


def test_one_hot_targets() -> None:
    model = helpers.linear_model(get_ops("cpu"))
    labels = np.array([2, 0], np.int32)
    target = target_of(MeanSquaredError(), labels, model)
    assert (target.dtype, target.tolist()) == (np.float32, [[0, 0, 1], [1, 0, 0]])
    assert target_of(SoftmaxCrossEntropy(), labels, model) is labels


def test_one_hot_targets_need_classes() -> None:
    model = Sequential([Flatten()])
    model.build((1, 4, 4), get_ops("cpu"), 0)
    model.output_shape = (1, 4, 4)
    with pytest.raises(ShapeError, match=r"must give \(N, classes\), got outputs of shape \(2, 1"):
        target_of(MeanSquaredError(), np.zeros(2, np.int32), model)
