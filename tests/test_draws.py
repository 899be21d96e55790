"""Draws are functions of (seed, purpose, indices)."""

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from gpucnn.draws import check_seed, derive, generator
from gpucnn.errors import ConfigError

PLACES: list[tuple[Any, ...]] = [
    (0, "shuffle", 0),
    (1, "shuffle", 0),
    (2**64 - 1, "shuffle", 0),
    (2**32, "shuffle", 0),
    (0, "augment", 0),
    (0, "shuffle", 1),
    (0, "shuffle"),
    (0, "shuffle", 0, 0),
    (0, "shuffle", 0, 1),
    (0, "shuffle", 1, 0),
    (0, "shuffle", 2**40),
    # Cut into words without their count, these two would be one place.
    (0, "shuffle", crc32(b"layer"), 5),
    (crc32(b"shuffle") << 32, "layer", 5),
]


def test_the_same_place_draws_the_same() -> None:
    for place in PLACES:
        first, second = (generator(*place).integers(2**62, size=4) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert derive(*place) == derive(*place)


def test_other_places_draw_others() -> None:
    """Every index counts: neither a 0 more nor a seed of two words makes two places one."""
    draws = {generator(*place).integers(2**62, size=4).tobytes() for place in PLACES}
    seeds = {derive(*place) for place in PLACES}
    assert len(draws) == len(seeds) == len(PLACES)


def test_a_generator_in_use_disturbs_no_other() -> None:
    """No state is shared."""
    expected = generator(3, "weights").random(3)
    generator(3, "weights").random(1000)
    np.random.default_rng(0).random(5)
    np.testing.assert_array_equal(generator(3, "weights").random(3), expected)


def test_derived_seeds_are_seeds() -> None:
    values = [derive(7, "layer", i) for i in range(200)]
    assert all(type(value) is int and check_seed(value) == value for value in values)
    assert max(values) >= 2**63, "all 64 bits are used"


def test_draws_stay_as_they_are_over_versions() -> None:
    """A changed stream would break the resumption of old checkpoints: a change here is a break."""
    assert derive(0, "layer", 3) == EXPECTED_DERIVED
    assert generator(0, "shuffle", 0).permutation(8).tolist() == EXPECTED_ORDER


EXPECTED_DERIVED = 12084074963960709190
EXPECTED_ORDER = [2, 1, 7, 5, 6, 3, 0, 4]


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1, np.int64(5), np.uint64(2**64 - 1)])
def test_seeds(seed: Any) -> None:
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True, [1], np.float64(1)])
def test_bad_seeds(seed: Any) -> None:
    for function in (check_seed, lambda s: generator(s, "shuffle"), lambda s: derive(s, "layer")):
        with pytest.raises(ConfigError, match=r"seed must be an integer from 0 to 2\*\*64 - 1"):
            function(seed)
