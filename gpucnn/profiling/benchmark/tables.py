"""A benchmark and a comparison of two, as tables on the terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from statistics import mean
from typing import Any

from gpucnn.profiling.benchmark.compare import LEAST, Comparison
from gpucnn.profiling.benchmark.results import LEFT_OUT, OURS, TIMED, TORCH, Benchmark, Row, Timing
from gpucnn.profiling.labels import figure, flop_rate, milliseconds

COLUMNS = (
    "method", "shape", "L2", "ms", "quartiles", "rate", "GB/s", "% of ceiling", "torch ms", "ratio"
)  # fmt: skip
TEXTS = (0, 1, 2)
"""Columns that are flush left."""

BUSY = 0.5
"""A core does something else so much of the time: threads that wait for each other wait for it."""

MOVED = ("method", "shape", "L2", "before ms", "after ms", "change", "PyTorch's change")


def heading(found: Benchmark) -> list[str]:
    """What was measured, on what."""
    meta = found.meta
    calls = f"at most {meta['repeats']} calls a row in float32"
    lines = [f"{meta['device']} ({meta['device_name']}), {calls}"]
    if meta["caches"] == ["warm"]:
        lines.append("caches warm: on the cpu nothing empties them between calls")
    if busy_machine(meta):
        lines.append(f"NOT A QUIET MACHINE{busy_machine(meta)}: measure again when it is")
    if meta.get("images") is not None:
        lines.append(f"at most {meta['images']} images of each shape (--images)")
    if meta.get("against") == "torch":
        lines.append("ratio: PyTorch's time over gpucnn's; above 1 gpucnn is faster")
    else:
        lines.append(f"no ratios: {meta.get('why_alone', 'PyTorch was not asked for')}")
    if found.ceilings is not None:
        best = found.ceilings
        lines.append(
            f"ceilings, measured in this run: copy {figure(best.copy_gb_s)} GB/s, matrix product"
            f" {flop_rate(best.gemm_tflops)}"
        )
    return lines


def busy_machine(meta: Mapping[str, Any]) -> str:
    """In words, where other work was going on before the run; "" where not."""
    if meta["load"] <= BUSY * meta["cores"]:
        return ""
    return f" (load {meta['load']:g} on {meta['cores']} cores)"


def rows(found: Benchmark) -> Iterator[Sequence[str]]:
    """A line for each row and state of the L2 that has a time."""
    for row in found.rows:
        for cache in row.caches:
            ours, theirs = row.time(OURS, cache), row.time(TORCH, cache)
            assert ours is not None
            tflops, gb_s = row.rates(cache)
            percent, ratio = found.percent(row, cache), row.ratio(cache)
            yield (
                row.method,
                row.shape,
                cache,
                milliseconds(ours.ms),
                _quartiles(ours),
                flop_rate(tflops) if row.flops else "",
                figure(gb_s),
                "" if percent is None else f"{percent:.0f}",
                "" if theirs is None else milliseconds(theirs.ms),
                "" if ratio is None else f"{ratio:.2f}",
            )


def summary(found: Benchmark) -> list[str]:
    """Geometric means of the ratios; what was wrong, failed or left out, and why."""
    lines = []
    ratios: dict[str, list[float]] = {}
    for row in found.rows:
        ratio = row.ratio(row.caches[0]) if row.caches else None
        if ratio:
            ratios.setdefault(row.method, []).append(ratio)
    if ratios:
        means = (f"{method} {geometric(some):.2f}" for method, some in ratios.items())
        lines.append(f"geometric means of the ratios: {', '.join(means)}")
    for row in found.rows:
        if row.status not in (TIMED, LEFT_OUT):
            lines.append(f"{row.status.upper()}, {row.method} {row.shape}: {row.note}")
    left = [row for row in found.rows if row.status == LEFT_OUT]
    if left:
        lines.append(f"left out {len(left)} of {len(found.rows)} by estimate:")
        lines += [f"  {row.method} {row.shape}: {row.note}" for row in left]
    if not found.finished:
        lines.append("interrupted: the rows behind these are missing")
    for oracle, count in Counter(row.oracle for row in found.rows if row.oracle).items():
        lines.append(f"checked against {oracle}: {count}")
    counts = Counter(row.status for row in found.rows)
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items()))
    return lines


def geometric(values: Sequence[float]) -> float:
    """The geometric mean: a ratio and its inverse cancel out."""
    return exp(mean(log(value) for value in values))


def moved_rows(found: Comparison) -> Iterator[Sequence[str]]:
    for move in found.moved:
        yield (
            move.row.method,
            move.row.shape,
            move.cache,
            f"{milliseconds(move.before.ms)} ({_quartiles(move.before)})",
            f"{milliseconds(move.after.ms)} ({_quartiles(move.after)})",
            change(move.factor),
            "" if move.torch is None else change(move.torch),
        )


def comparison_summary(found: Comparison) -> list[str]:
    """What did not move, what is in one result alone, what else differs."""
    lines = [
        f"{len(found.moved)} moved, {found.still} did not: quartiles apart, and medians by more"
        f" than the noise of both and {LEAST:.0%}"
    ]
    for name, some in (("first", found.only_before), ("second", found.only_after)):
        if some:
            lines.append(f"in the {name} alone:")
            lines += [f"  {label(row)}" for row in some]
    for before, after in found.untimed:
        which, row = ("second", after) if before.times else ("first", before)
        lines.append(f"no time in the {which}: {label(row)}, {row.status}: {row.note}")
    if found.differences:
        lines.append("the two are not of the same: " + "; ".join(found.differences))
    return lines


def label(row: Row) -> str:
    return f"{row.method} {row.shape} {list(row.sizes)}"


def change(factor: float) -> str:
    """10% slower, 10% faster: of the time before."""
    if abs(factor - 1) < 0.0005:
        return "none"
    return f"{abs(factor - 1):.1%} {'slower' if factor > 1 else 'faster'}"


def _quartiles(time: Timing) -> str:
    return f"{milliseconds(time.low)} - {milliseconds(time.high)}"
