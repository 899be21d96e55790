"""Time by layer: a bar for each in the network's order, forward, backward and gaps in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucnn.profiling.intervals import DATA_WAIT
from gpucnn.profiling.labels import OUTSIDE, layer_label, milliseconds
from gpucnn.profiling.pictures import shortened, title
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.theme import PHASES, Theme

PARTS = {
    "forward": "forward",
    "backward": "backward",
    "loss": "loss",
    "update": "update",
    "data": "making the batch",
    "wait": "waiting for data",
    "gap": "gap: nothing was computed",
}
"""Of a bar, from left to right, and what the legend calls them."""

IDLE = "", "idle"
"""Containers, flatten and the like: what their gaps are summed up under."""

MOST = 120
"""Bars of a picture; the rest of a larger network is summed up in one."""

ROW, WIDTH, HEAD, FOOT = 0.19, 10.0, 1.05, 0.55
"""Inches."""


@dataclass
class Bar:
    """What one layer, or one thing outside of the layers, took: part -> milliseconds."""

    label: str
    ms: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.ms.values())

    def add(self, part: str, ms: float) -> None:
        self.ms[part] = self.ms.get(part, 0.0) + ms


def bars(profile: Profile) -> list[Bar]:
    """In the network's order, the batch before it, loss and update after it."""
    found: dict[tuple[str, str], Bar] = {}

    def bar(layer: str, phase: str) -> Bar:
        key = layer, "" if layer else phase
        return found.setdefault(key, Bar(layer_label(profile, layer) if layer else OUTSIDE[phase]))

    for row in profile.layers:
        bar(row.layer, row.phase).add(row.phase, row.ms)
    computing = set(found)
    for gap in profile.gaps:
        key = gap.layer, "" if gap.layer else gap.phase
        idle = bool(gap.layer) and key not in computing
        into = found.setdefault(IDLE, Bar("layers that compute nothing")) if idle else bar(*key)
        into.add("wait" if gap.where == DATA_WAIT else "gap", gap.ms)
    order = [("", "data"), *((path, "") for path in profile.layer_names), IDLE]
    order += [("", phase) for phase in ("loss", "update", "")]
    return [found[key] for key in order if key in found and found[key].total]


def fewer(all_bars: list[Bar]) -> list[Bar]:
    """At most MOST of them, the longest, in their order; the others as one."""
    if len(all_bars) <= MOST:
        return all_bars
    ranked = sorted(range(len(all_bars)), key=lambda i: -all_bars[i].total)
    long = set(ranked[: MOST - 1])
    rest = Bar(f"and {len(all_bars) - len(long)} shorter")
    for i, short in enumerate(all_bars):
        for part, ms in short.ms.items() if i not in long else ():
            rest.add(part, ms)
    return [*(b for i, b in enumerate(all_bars) if i in long), rest]


def draw(profile: Profile, theme: Theme) -> Any:
    """A matplotlib Figure; None where there are no rows of layers."""
    from matplotlib.figure import Figure

    rows = fewer(bars(profile))
    if not rows:
        return None
    high = HEAD + FOOT + ROW * max(len(rows), 6)
    figure = Figure(figsize=(WIDTH, high))
    names = [shortened(bar.label, 34) for bar in rows]
    left = 0.45 + 0.075 * max(map(len, names), default=0)
    size = (1 - (left + 0.35) / WIDTH, 1 - (HEAD + FOOT) / high)
    axes = figure.add_axes((left / WIDTH, FOOT / high, *size))
    at = [0.0] * len(rows)
    for part in PARTS:
        ms = [bar.ms.get(part, 0.0) for bar in rows]
        if any(ms):
            style = _style(part, theme)
            axes.barh(range(len(rows)), ms, left=at, height=0.74, label=PARTS[part], **style)
            at = [a + b for a, b in zip(at, ms, strict=True)]
    step = sum(at)
    for i, (total, bar) in enumerate(zip(at, rows, strict=True)):
        share = f" · {total / step:.1%}" if step and total / step >= 0.01 else ""
        axes.text(
            total + 0.006 * max(at), i, f"{milliseconds(bar.total)} ms{share}",
            va="center", fontsize=7.5, color=theme.faint,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), names, fontsize=8, color=theme.text)
    axes.set_ylim(max(len(rows), 6) - 0.4, -0.6)
    axes.set_xlim(0, 1.17 * max(at, default=1.0))
    axes.set_xlabel(f"milliseconds of a step, {'predicted' if profile.predicted else 'median'}")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    title(figure, profile, theme, "Time by layer")
    figure.legend(
        loc="upper left", bbox_to_anchor=(0.1 / WIDTH, 1 - 0.7 / high), ncols=len(PARTS),
        frameon=False, fontsize=8, borderaxespad=0, columnspacing=1.4, handlelength=1.2,
    )  # fmt: skip
    return figure


def _style(part: str, theme: Theme) -> Mapping[str, Any]:
    if part in PHASES:
        return {"color": PHASES[part]}
    return {"color": theme.gap if part == "gap" else PHASES["data"], "hatch": "////"}
