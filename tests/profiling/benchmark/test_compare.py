"""What counts as a move between two results: noise is silent, a tenth is named."""

from dataclasses import replace

import numpy as np
import pytest

from gpucnn.profiling.benchmark import tables
from gpucnn.profiling.benchmark.compare import LEAST, beyond_noise, compare
from gpucnn.profiling.benchmark.results import FAILED, OURS, TORCH, Timing
from tests.profiling.benchmark.made_up import beside_torch, result, row, timing


def drawn(rng: np.random.Generator, ms: float, spread: float, repeats: int = 15) -> Timing:
    """Skewed as times are: nothing is faster than the machine, some calls are much slower."""
    return Timing.of(OURS, "warm", list(ms * (1 + spread * rng.gamma(2.0, size=repeats))))


@pytest.mark.parametrize("repeats", [7, 15, 60])
@pytest.mark.parametrize("spread", [0.001, 0.02, 0.1, 0.5])
def test_noise_stays_silent(spread: float, repeats: int) -> None:
    """The same times twice: at most one pair of a thousand seems to have moved."""
    rng = np.random.default_rng(1)
    pairs = [[drawn(rng, 3.0, spread, repeats) for _ in range(2)] for _ in range(1000)]
    assert sum(beyond_noise(a, b) for a, b in pairs) <= 1


@pytest.mark.parametrize("change", [0.9, 1.1])
def test_a_tenth_is_named(change: float) -> None:
    rng = np.random.default_rng(2)
    pairs = [(drawn(rng, 3.0, 0.01), drawn(rng, 3.0 * change, 0.01)) for _ in range(1000)]
    assert all(beyond_noise(a, b) for a, b in pairs)


def test_the_rule() -> None:
    assert beyond_noise(timing(1.0, 0.04), timing(1.1, 0.04))
    assert beyond_noise(timing(1.1, 0.04), timing(1.0, 0.04)), "in either direction"
    assert not beyond_noise(timing(1.0, 0.05), timing(1.1, 0.05)), "medians are not known so well"
    many = [replace(timing(ms, 0.11), repeats=1000) for ms in (1.0, 1.1)]
    assert not beyond_noise(*many), "the boxes overlap, however many calls tell so"
    assert beyond_noise(*(replace(time, low=time.ms) for time in many))
    small = 1 + 0.9 * LEAST
    assert not beyond_noise(timing(1.0, 0.001), timing(small, 0.001)), "too small to matter"


def test_what_a_comparison_shows() -> None:
    before = result(
        beside_torch("slower", 1.0, 2.0),
        beside_torch("faster", 1.0, 2.0),
        beside_torch("the machine", 1.0, 2.0),
        beside_torch("same", 1.0, 2.0),
        row("broken", timing(1.0)),
        row("gone", timing(1.0)),
    )
    after = result(
        beside_torch("same", 1.01, 2.0),
        beside_torch("the machine", 1.1, 2.2),
        beside_torch("faster", 0.8, 2.0),
        beside_torch("slower", 1.3, 2.0),
        row("broken", status=FAILED, note="KernelError: no"),
        row("new", timing(1.0)),
        versions={"numpy": "3"},
    )
    found = compare(before, after)
    assert [(m.row.shape, round(m.factor, 3)) for m in found.moved] == [
        ("slower", 1.3), ("the machine", 1.1), ("faster", 0.8)
    ]  # fmt: skip
    assert found.still == 1
    lines = [" ".join(cells) for cells in tables.moved_rows(found)]
    assert "30.0% slower none" in lines[0]
    assert "10.0% slower 10.0% slower" in lines[1]
    assert "20.0% faster none" in lines[2]
    text = "\n".join(tables.comparison_summary(found))
    assert "3 moved, 1 did not" in text
    assert "in the first alone:\n  conv2d_forward gone [2, 3]" in text
    assert "in the second alone:\n  conv2d_forward new [2, 3]" in text
    assert "no time in the second: conv2d_forward broken [2, 3], failed: KernelError: no" in text
    assert "not of the same: numpy: 2 and 3" in text


def test_cold_and_warm_are_rows_of_their_own() -> None:
    before = row("a", timing(2.0, cache="cold"), timing(1.0))
    after = row("a", timing(2.0, cache="cold"), timing(1.5), timing(3.0, by=TORCH))
    found = compare(result(before), result(after))
    (move,) = found.moved
    assert (move.cache, move.torch, found.still) == ("warm", None, 1)


def test_the_same_name_with_other_sizes_is_another_row() -> None:
    found = compare(result(row("a", timing(1.0))), result(row("b", timing(9.0))))
    assert (found.moved, len(found.only_before), len(found.only_after)) == ((), 1, 1)
