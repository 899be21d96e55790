"""What limits a step, in sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gpucnn.profiling.access import faulty
from gpucnn.profiling.access_tables import UNITS
from gpucnn.profiling.labels import milliseconds, place_label
from gpucnn.profiling.limits import percent_of_limit
from gpucnn.profiling.profile import Profile, Row

GAPS, WAITS = "gaps", "waiting for data"

HEADLINES = {
    "compute": "Computing limits this step",
    "memory": "Memory traffic limits this step",
    "on-chip": "On-chip traffic limits this step: caches and shared memory",
    "launch": "Launching kernels limits this step",
    "host": "The host limits this step: calls too short for the work in them",
    GAPS: "Gaps limit this step: nothing is computed in them",
    WAITS: "The wait for data limits this step",
    "": "What limits this step is not known",
}

LIMITS = {
    "compute": "computing",
    "memory": "memory traffic",
    "on-chip": "on-chip traffic",
    "launch": "launching kernels",
    "host": "the host",
}

CEILING = {"compute": "measured matrix product", "memory": "measured copy"}
SHEET = {"compute": "data sheet's FP32 rate", "memory": "data sheet's bandwidth"}

NOTABLE = 0.05
"""Of the step."""


@dataclass(frozen=True)
class Verdict:
    """What takes most of a step, and what to know about it."""

    headline: str
    sentences: tuple[str, ...]


def step_ms(profile: Profile) -> float:
    return median(profile.step_ms)


def images_per_second(profile: Profile) -> float | None:
    """Of steps that were not observed, where some were timed; None where the batch is unknown."""
    batch = profile.meta.get("batch_size")
    ms = median(profile.plain_ms or profile.step_ms)
    return 1000 * batch / ms if batch and ms else None


def longest(profile: Profile, most: int = 5) -> list[Row]:
    """The kernels that take longest; where there are none, the methods."""
    return sorted(profile.kernels or profile.methods, key=lambda row: -row.ms)[:most]


def verdict(profile: Profile) -> Verdict:
    """The largest of the gaps, the wait for data and the methods by what limits them."""
    ms: dict[str, float] = {}
    for row in profile.methods:
        ms[row.limit] = ms.get(row.limit, 0.0) + row.ms
    ms[GAPS] = profile.gap_ms - profile.data_wait_ms
    ms[WAITS] = profile.data_wait_ms
    first = max(ms, key=lambda name: ms[name])
    step = step_ms(profile)
    told = [_share(profile, name, ms[name], step) for name in sorted(ms, key=lambda n: -ms[n])
            if step and ms[name] >= NOTABLE * step and name]  # fmt: skip
    more = (*_longest(profile), *_waits(profile), *_lines(profile))
    return Verdict(HEADLINES[first], (*told, *more))


def _share(profile: Profile, limit: str, ms: float, step: float) -> str:
    amount = f"{ms / step:.0%} of the step ({milliseconds(ms)} ms)"
    if limit == WAITS:
        return f"{amount} passes waiting for the next batch."
    if limit == GAPS:
        gap = next((g for g in profile.gaps if g.where != "data wait"), None)
        where = f", longest in {place_label(profile, gap.layer, gap.phase)}" if gap else ""
        return f"In {amount} nothing is computed{where}."
    words = f"{amount} is in methods limited by {LIMITS[limit]}"
    rows = [row for row in profile.methods if row.limit == limit]
    return f"{words}{_reached(rows, (SHEET if profile.predicted else CEILING).get(limit))}."


def _reached(rows: Sequence[Row], ceiling: str | None) -> str:
    """How near they come to their ceiling, weighted by their times."""
    known = [(row.ms, percent_of_limit(row)) for row in rows]
    total = sum(ms for ms, percent in known if percent is not None)
    if ceiling is None or not total:
        return ""
    percent = sum(ms * percent for ms, percent in known if percent is not None) / total
    return f", which come to {percent:.0f} % of the {ceiling}"


def _longest(profile: Profile) -> list[str]:
    if not profile.methods:
        return []
    top = max(profile.methods, key=lambda row: row.ms)
    calls = [row for row in profile.calls if row.method == top.method]
    text = f"The longest method is {top.method}, {top.share:.0%} of the step"
    if len(calls) > 1:
        call = max(calls, key=lambda row: row.ms)
        place = place_label(profile, call.layer, call.phase)
        text += f"; its longest calls are in {place} ({milliseconds(call.ms)} ms)"
    return [f"{text}."]


def _waits(profile: Profile) -> list[str]:
    return [
        f"A hidden synchronisation: the host waits {milliseconds(wait.ms)} ms a step in"
        f" {place_label(profile, wait.layer, wait.phase)}, {wait.where}."
        for wait in profile.waits
        if wait.hidden
    ]


def _lines(profile: Profile) -> list[str]:
    """The source line that wastes most."""
    return [
        f"The line that wastes most memory accesses is {line.place} ({line.fault}):"
        f" {line.per_request:.1f} {UNITS[line.space]} a request,"
        f" {line.least_per_request:.1f} at best."
        for line in faulty(profile.lines)[:1]
    ]
