"""Masks element by element against Philox4x32-10 in whole numbers, and what they are used for."""

from math import sqrt
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from tests.ops.harness import call, normal
from tests.oracles.philox import block_kept, draw, kept

# Words of 32 bits and a key of 64: each of their bits must matter.
KEYS: list[dict[str, int]] = [
    {"seed": 0, "layer": 0, "step": 0},
    {"seed": 42, "layer": 3, "step": 17},
    {"seed": 2**64 - 1, "layer": 2**32 - 1, "step": 2**32 - 1},
    {"seed": 0xFEDCBA9876543210, "layer": 2**31, "step": 1},
]


def scaled(keep: np.ndarray, rate: float, dtype: str) -> np.ndarray:
    """The mask of kept elements: 1/(1 - rate), rounded once."""
    return np.where(keep, np.asarray(1 / (1 - rate), dtype), np.asarray(0, dtype))


def check_dropout(ops: Ops, shape: tuple[int, ...], dtype: str, rate: float, key: Any) -> None:
    """y and mask, exactly."""
    x = normal(shape, dtype)
    y, mask = call(ops, "dropout_forward", x, rate=rate, **key)
    assert y.dtype == mask.dtype == dtype
    np.testing.assert_array_equal(
        mask, scaled(kept(x.size, rate, **key).reshape(shape), rate, dtype)
    )
    np.testing.assert_array_equal(y, x * mask)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rate", [0, 0.25, 0.3, 0.999])
def test_dropout(ops: Ops, dtype: str, rate: float, key: dict[str, int]) -> None:
    for shape in ((7,), (3, 5, 2), (2, 3, 4, 4), (1,), (), (0, 4)):
        check_dropout(ops, shape, dtype, rate, key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rate", [0, 0.5, 0.7])
def test_dropout2d(ops: Ops, dtype: str, rate: float, key: dict[str, int]) -> None:
    for shape in ((3, 5, 2, 3), (0, 4, 2, 2), (1, 1, 1, 1)):
        x = normal(shape, dtype)
        y, mask = call(ops, "dropout2d_forward", x, rate=rate, **key)
        keep = kept(shape[0] * shape[1], rate, **key).reshape(*shape[:2], 1, 1)
        assert y.dtype == mask.dtype == dtype
        np.testing.assert_array_equal(mask, scaled(keep, rate, dtype))
        np.testing.assert_array_equal(y, x * mask)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("block_size", [1, 2, 3, 5])
@pytest.mark.parametrize("rate", [0, 0.3, 0.8])
def test_drop_block2d(
    ops: Ops, dtype: str, rate: float, block_size: int, key: dict[str, int]
) -> None:
    for shape in ((2, 2, 5, 7), (0, 2, 5, 5), (1, 1, 8, 5)):
        x = normal(shape, dtype)
        y, mask = call(ops, "drop_block2d_forward", x, rate=rate, block_size=block_size, **key)
        assert y.dtype == mask.dtype == dtype
        keep = block_kept(shape, rate, size=block_size, **key)
        np.testing.assert_array_equal(mask, scaled(keep, rate, dtype))
        np.testing.assert_array_equal(y, x * mask)


def test_a_block_of_one_is_dropout(ops: Ops, dtype: str) -> None:
    x = normal((2, 3, 4, 5), dtype)
    one = call(ops, "drop_block2d_forward", x, rate=0.4, block_size=1, **KEYS[1])
    plain = call(ops, "dropout_forward", x, rate=0.4, **KEYS[1])
    np.testing.assert_array_equal(one[1], plain[1])


def test_the_counter_goes_on_over_many_elements(ops: Ops) -> None:
    """Far elements as well, whatever blocks the device draws in."""
    x = np.ones(300_001, "float32")
    _, mask = call(ops, "dropout_forward", x, rate=0.5, **KEYS[1])
    places = np.random.default_rng(0).integers(x.size, size=300).tolist()
    for place in (0, x.size - 1, 65_535, 65_536, 131_072, 262_144, *places):
        assert (mask[place] != 0) == (draw(place, **KEYS[1]) >= 2**31), place


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["dropout", "dropout2d", "drop_block2d"])
def test_the_rate_is_the_share_that_goes(ops: Ops, kind: str, rate: float) -> None:
    """Within 6 standard deviations of draws that are independent (blocks: within a channel not)."""
    x = np.ones((40, 50, 6, 6), "float32")
    extra = {"block_size": 3} if kind == "drop_block2d" else {}
    _, mask = call(ops, f"{kind}_forward", x, rate=rate, **KEYS[1], **extra)
    independent = mask.size if kind != "drop_block2d" else x.shape[0] * x.shape[1]
    share = (mask == 0).mean()
    assert abs(share - rate) <= 6 * sqrt(rate * (1 - rate) / independent)
    if kind == "drop_block2d":
        # Every cell alike, also at the border.
        per_cell = (mask == 0).mean(axis=(0, 1))
        assert abs(per_cell - rate).max() <= 6 * sqrt(rate * (1 - rate) / independent)


def test_every_index_changes_the_mask(ops: Ops) -> None:
    x = np.ones(256, "float32")
    masks = [
        call(ops, "dropout_forward", x, rate=0.5, **{**KEYS[1], name: value})[1].tobytes()
        for name, values in (("seed", (42, 43, 42 + 2**32)), ("layer", (4, 5)), ("step", (18, 19)))
        for value in values
    ]
    assert len(set(masks)) == len(masks)


def test_backward(ops: Ops, dtype: str) -> None:
    for mask_shape in ((2, 3, 4, 5), (2, 3, 1, 1)):
        dy, mask = normal((2, 3, 4, 5), dtype), normal(mask_shape, dtype, 1)
        dx = call(ops, "dropout_backward", dy, mask)
        assert dx.dtype == dtype
        np.testing.assert_array_equal(dx, dy * mask)
    empty = np.zeros((0, 3), dtype)
    assert call(ops, "dropout_backward", empty, empty).shape == (0, 3)


def test_dropped_elements_are_zero_whatever_they_were(ops: Ops, dtype: str) -> None:
    """Also where x is negative, and a rate close to 1 drops nearly all."""
    x = -abs(normal((64,), dtype))
    y, mask = call(ops, "dropout_forward", x, rate=1 - 2**-40, **KEYS[0])
    assert not y.any()
    assert not mask.any()
