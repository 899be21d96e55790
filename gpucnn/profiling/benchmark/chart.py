"""The bar chart of a benchmark: ratios to PyTorch, or percents of the ceiling where it is alone."""

import io
from typing import Any

from gpucnn.profiling.benchmark.results import OURS, TORCH, Benchmark, Row
from gpucnn.profiling.benchmark.tables import busy_machine
from gpucnn.profiling.theme import LIGHT

PASSES = {
    "_forward": ("forward", "#3b78b5"),
    "_backward_input": ("backward_input", "#e08214"),
    "_backward_weight": ("backward_weight", "#8c6bb1"),
    "_backward_bias": ("backward_bias", "#b8860b"),
    "_backward": ("backward", "#e08214"),
    "": ("one pass", "#3a9a5b"),
}
"""How a method's name ends -> the pass and its colour."""

DPI = 110
INCHES = 0.17
"""A bar's height, with its share of the space around it."""

TOP, BOTTOM = 1.0, 0.6
"""Inches for the title and for the axis."""


def split_pass(method: str) -> tuple[str, str]:
    """conv2d_backward_input -> conv2d, backward_input."""
    end = next(end for end in PASSES if method.endswith(end))
    return method.removesuffix(end), PASSES[end][0]


def draw(found: Benchmark) -> bytes | None:
    """A PNG; None where no row has a time."""
    timed = [row for row in found.rows if row.caches]
    with_ratio = [row for row in timed if row.ratio(row.caches[0]) is not None]
    if with_ratio:
        return _chart(found, with_ratio, relative=True)
    return _chart(found, timed, relative=False) if timed else None


def _chart(found: Benchmark, rows: list[Row], *, relative: bool) -> bytes:
    from matplotlib.figure import Figure

    rows = sorted(rows, key=lambda row: split_pass(row.method)[0])
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((split_pass(row.method)[0], row.shape), []).append(row)
    # A gap of one bar between groups.
    high = (len(rows) + len(groups)) * INCHES + TOP + BOTTOM
    figure = Figure(figsize=(9, high))
    axes = figure.add_axes((0.32, BOTTOM / high, 0.62, 1 - (TOP + BOTTOM) / high))
    place, labels = 0.0, []
    for (family, shape), some in groups.items():
        for number, row in enumerate(some):
            _bar(axes, found, row, place + number, relative)
        labels.append((place + (len(some) - 1) / 2, f"{family}  {shape}"))
        place += len(some) + 1
    axes.set_ylim(place - 0.5, -1)
    axes.set_yticks([at for at, _ in labels], [text for _, text in labels], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    _scale(axes, found, rows, relative)
    _legend(figure, rows, high)
    _title(figure, found, relative, high)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _bar(axes: Any, found: Benchmark, row: Row, place: float, relative: bool) -> None:
    cache = row.caches[0]
    colour = next(colour for name, colour in PASSES.values() if name == split_pass(row.method)[1])
    value = row.ratio(cache) if relative else found.percent(row, cache)
    assert value is not None
    ours, theirs = row.time(OURS, cache), row.time(TORCH, cache)
    style = {"height": 0.85, "color": colour}
    if relative and ours and theirs:
        # From 1: on this side or on that.
        axes.barh(place, value - 1, left=1, **style)
        least, most = theirs.low / ours.high, theirs.high / ours.low
        axes.plot([least, most], [place, place], color=LIGHT.text, linewidth=0.8, alpha=0.7)
    else:
        axes.barh(place, value, **style)


def _scale(axes: Any, found: Benchmark, rows: list[Row], relative: bool) -> None:
    if not relative:
        axes.set_xlim(0)
        axes.set_xlabel("percent of the nearer ceiling: copy or matrix product")
        return
    ratios = [row.ratio(row.caches[0]) or 1.0 for row in rows]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(0.5, min(ratios) / 1.3), max(2.0, max(ratios) * 1.3))
    axes.axvline(1, color=LIGHT.text, linewidth=1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("PyTorch's time over gpucnn's (right of 1: gpucnn is faster); line: quartiles")


def _legend(figure: Any, rows: list[Row], high: float) -> None:
    from matplotlib.patches import Patch

    used = {split_pass(row.method)[1] for row in rows}
    # Passes of one colour share a place.
    names: dict[str, list[str]] = {}
    for name, colour in PASSES.values():
        if name in used:
            names.setdefault(colour, []).append(name)
    handles = [Patch(color=colour, label=", ".join(some)) for colour, some in names.items()]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.62 / high),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
    )


def _title(figure: Any, found: Benchmark, relative: bool, high: float) -> None:
    meta = found.meta
    what = "gpucnn beside PyTorch" if relative else "gpucnn and the device's ceilings"
    left = 0.02
    figure.text(left, 1 - 0.15 / high, what, fontsize=13, fontweight="bold", va="top")
    images = "" if meta.get("images") is None else f", at most {meta['images']} images"
    about = f"{meta['device']} · {meta['device_name']} · L2 {meta['caches'][0]}{images}"
    busy = busy_machine(meta)
    about += f" · not a quiet machine{busy}" if busy else ""
    colour = LIGHT.warning if busy else LIGHT.faint
    figure.text(left, 1 - 0.42 / high, about, fontsize=9, color=colour, va="top")
