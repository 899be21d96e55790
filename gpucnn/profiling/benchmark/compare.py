"""What moved between two results, beyond the noise of both.

A time moved where all of this holds:
- the boxes from the lower to the upper quartile do not overlap: half of one run's calls lie beyond
  half of the other's;
- the medians are further apart than NOTCHES · (box_a / √repeats_a + box_b / √repeats_b), which is
  how well so many calls tell a median, some times over, for a table has hundreds of rows: of the
  same times drawn twice, normal or skewed, fewer than one pair in a thousand passes, with 7 calls
  as with 60. A tenth is named where the boxes are up to 4% high with 15 calls;
- the medians are further apart than LEAST of the slower: clocks and temperature do less.
What the rule cannot see is a change of the machine that lasted for a whole run. So PyTorch's
change, measured in turn with ours, stands beside it: where both moved alike, the machine did.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

from gpucnn.profiling.benchmark.results import OURS, TORCH, Benchmark, Row, Timing

LEAST = 0.03
NOTCHES = 4

SAME = ("device", "device_name", "versions", "against")
"""What two results must share in their `meta` for times to mean the same."""


@dataclass(frozen=True)
class Move:
    """A row's time before and after."""

    row: Row
    cache: str
    before: Timing
    after: Timing
    torch: float | None
    """PyTorch's time after over before, where both have it."""

    @property
    def factor(self) -> float:
        """Time after over before: above 1 is slower."""
        return self.after.ms / self.before.ms


@dataclass(frozen=True)
class Comparison:
    """Rows that moved, worst first; how many did not; rows of one result alone; rows gone wrong."""

    moved: tuple[Move, ...]
    still: int
    only_before: tuple[Row, ...]
    only_after: tuple[Row, ...]
    untimed: tuple[tuple[Row, Row], ...]
    """In both, and without a time in one of them."""
    differences: tuple[str, ...]
    """Of the machines and versions, in words."""


def compare(before: Benchmark, after: Benchmark) -> Comparison:
    """Match the rows of two results by method, shape and sizes."""
    old, new = ({row.key: row for row in found.rows} for found in (before, after))
    moved, still, untimed = [], 0, []
    for key in [key for key in old if key in new]:
        a, b = old[key], new[key]
        if bool(a.times) != bool(b.times):
            untimed.append((a, b))
        for move in _moves(a, b):
            if beyond_noise(move.before, move.after):
                moved.append(move)
            else:
                still += 1
    return Comparison(
        tuple(sorted(moved, key=lambda move: -move.factor)),
        still,
        tuple(row for key, row in old.items() if key not in new),
        tuple(row for key, row in new.items() if key not in old),
        tuple(untimed),
        tuple(_differences(before.meta, after.meta)),
    )


def beyond_noise(a: Timing, b: Timing) -> bool:
    """The rule above."""
    gap = abs(a.ms - b.ms)
    notches = sum((time.high - time.low) / sqrt(time.repeats) for time in (a, b))
    apart = a.high < b.low or b.high < a.low
    return apart and gap > NOTCHES * notches and gap > LEAST * max(a.ms, b.ms)


def _moves(a: Row, b: Row) -> list[Move]:
    moves = []
    for cache in a.caches:
        before, after = a.time(OURS, cache), b.time(OURS, cache)
        theirs = a.time(TORCH, cache), b.time(TORCH, cache)
        torch = theirs[1].ms / theirs[0].ms if theirs[0] and theirs[1] else None
        if before and after:
            moves.append(Move(b, cache, before, after, torch))
    return moves


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    found = []
    for name in SAME:
        one, other = a.get(name), b.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            keys = dict.fromkeys([*one, *other])
            found += [
                f"{key}: {one.get(key)} and {other.get(key)}"
                for key in keys
                if one.get(key) != other.get(key)
            ]
        elif one != other:
            found.append(f"{name}: {one} and {other}")
    return found
