"""The roofline: how near each method comes to the device's ceilings, by FLOPs a byte."""

from math import atan2, degrees, sqrt
from typing import Any

from gpucnn.profiling.labels import SMALL_TFLOPS, figure, flop_rate, milliseconds
from gpucnn.profiling.pictures import title
from gpucnn.profiling.placing import Box, Point, place
from gpucnn.profiling.profile import Ceilings, Profile, Row
from gpucnn.profiling.theme import FAMILIES, Theme, family

WIDTH, HEIGHT = 10.0, 6.8

LABELLED = 0.002
"""Of the step: a shorter method has a point, but no name."""

MEASURED, SHEET = ("copy", "matrix product"), ("memory", "FP32")
"""What the rates of memory and computing are called."""

AREA = 1400.0
"""In square points, of a method that takes the whole step; the smallest has SMALLEST."""
SMALLEST = 14.0


def points(profile: Profile) -> list[Row]:
    """The methods that compute anything, the longest first."""
    return [row for row in profile.methods if row.tflops and row.intensity]


def draw(profile: Profile, theme: Theme) -> Any:
    """A matplotlib Figure; None without ceilings, or without a method that has a rate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    c, rows = profile.ceilings, points(profile)
    if c is None or not rows:
        return None
    # A pixel is a point here: labels are placed in points, whatever the file's resolution.
    picture = Figure(figsize=(WIDTH, HEIGHT), dpi=72)
    FigureCanvasAgg(picture)
    axes = picture.add_axes((0.1, 0.125, 0.875, 0.73))
    unit = 1.0 if c.gemm_tflops >= SMALL_TFLOPS else 1000.0
    calls = [row for row in profile.calls if row.tflops and row.intensity]
    _scales(axes, [*rows, *calls], c, unit, theme)
    ceilings = _ceilings(picture, axes, profile, c, unit, theme)
    for group, alpha in ((calls, 0.22), (rows, 0.88)):
        for name, (colour, _) in FAMILIES.items():
            chosen = [row for row in group if family(row.method) == name]
            small = group is calls
            axes.scatter(
                [row.intensity or 0 for row in chosen],
                [unit * (row.tflops or 0) for row in chosen],
                s=[SMALLEST if small else _area(row) for row in chosen],
                color=colour,
                alpha=alpha,
                linewidths=0 if small else 0.8,
                edgecolors=theme.background,
                zorder=3 if small else 4,
            )
    _name(picture, axes, rows, unit, ceilings, theme)
    title(picture, profile, theme, "Roofline by method")
    _legend(picture, {family(row.method) for row in rows})
    picture.text(0.015, 0.014, _note(profile), fontsize=7.5, color=theme.faint, va="bottom")
    return picture


def _legend(picture: Any, families: set[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name, markersize=6)
        for name, (colour, _) in FAMILIES.items()
        if name in families
    ]
    picture.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.72 / HEIGHT),
        ncols=len(handles), frameon=False, fontsize=8, columnspacing=1.4, handletextpad=0.2,
        borderaxespad=0,
    )  # fmt: skip


def _area(row: Row) -> float:
    return SMALLEST + AREA * row.share


def _scales(axes: Any, rows: list[Row], c: Ceilings, unit: float, theme: Theme) -> None:
    intensities = [row.intensity or 0.0 for row in rows]
    rates = [unit * (row.tflops or 0.0) for row in rows]
    ridge = 1000 * c.gemm_tflops / c.copy_gb_s
    axes.set(xscale="log", yscale="log")
    axes.set_xlim(min(intensities) / 3, 3 * max(*intensities, 2 * ridge))
    axes.set_ylim(min(rates) / 3, 4 * max(unit * c.gemm_tflops, *rates))
    axes.set_xlabel("FLOPs a byte that has to be moved")
    axes.set_ylabel("GFLOP/s" if unit > 1 else "TFLOP/s")
    axes.yaxis.set_label_coords(-0.085, 0.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: _tick(value))
        axis.set_minor_formatter(lambda value, _: "")
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _tick(value: float) -> str:
    """A power of ten, without an exponent."""
    return f"{value:,.0f}" if value >= 1 else f"{value:.9f}".rstrip("0")


def _ceilings(
    picture: Any, axes: Any, profile: Profile, c: Ceilings, unit: float, theme: Theme
) -> list[Box]:
    """Draw the two lines; the places of their names."""
    left, right = axes.get_xlim()
    low, _ = axes.get_ylim()
    top, slope = unit * c.gemm_tflops, unit * c.copy_gb_s / 1000
    ridge = top / slope
    start = max(left, low / slope)
    line = {"color": theme.text, "linewidth": 1.5, "zorder": 2}
    axes.plot([start, ridge, right], [slope * start, top, top], **line)
    axes.fill_between(
        [start, ridge, right], [slope * start, top, top], low, color=theme.grid, alpha=0.22,
        linewidth=0, zorder=1,
    )  # fmt: skip
    pixels = axes.transData.transform([(start, slope * start), (ridge, top)])
    angle = degrees(atan2(*(pixels[1] - pixels[0])[::-1]))
    kind = "data sheet" if profile.predicted else "measured"
    memory_name, compute_name = SHEET if profile.predicted else MEASURED
    memory = axes.annotate(
        f"{memory_name} {figure(c.copy_gb_s)} GB/s ({kind})",
        (sqrt(start * ridge), slope * sqrt(start * ridge)), (0, 5), textcoords="offset points",
        rotation=angle, rotation_mode="anchor", ha="center", fontsize=8.5,
    )  # fmt: skip
    compute = axes.annotate(
        f"{compute_name} {flop_rate(c.gemm_tflops)} ({kind})", (right, top), (-6, 5),
        textcoords="offset points", ha="right", fontsize=8.5,
    )  # fmt: skip
    roof = axes.transData.transform([(start, slope * start), (ridge, top), (right, top)])
    lines = [*_along(roof[0], roof[1]), *_along(roof[1], roof[2])]
    whole = _box(picture, memory)
    high = (whole.y1 - whole.y0) / 6
    name = _along((whole.x0, whole.y0), (whole.x1, whole.y1))
    return [_box(picture, compute), *lines, *(box.grown(high) for box in name)]


def _box(picture: Any, text: Any) -> Box:
    found = text.get_window_extent(picture.canvas.get_renderer())
    return Box(found.x0, found.y0, found.x1, found.y1)


def _along(start: Any, end: Any, parts: int = 40) -> list[Box]:
    """A slanting line as small boxes."""
    (x, y), wide, high = start, (end[0] - start[0]) / parts, (end[1] - start[1]) / parts
    return [
        Box(x + i * wide, y + i * high - 1, x + (i + 1) * wide, y + (i + 1) * high + 1)
        for i in range(parts)
    ]


def _name(
    picture: Any, axes: Any, rows: list[Row], unit: float, taken: list[Box], theme: Theme
) -> None:
    """Name the points; a line leads to a name that had to go further away."""
    found, texts = [], []
    behind = {"facecolor": theme.background, "alpha": 0.7, "linewidth": 0, "pad": 0.5}
    for row in rows:
        named = row.share >= LABELLED
        text = axes.annotate(
            f"{row.method}  {row.share:.1%}" if named else "", (0, 0), (0, 0),
            xycoords="figure points", textcoords="figure points", fontsize=8, zorder=6,
            bbox=behind,
        )  # fmt: skip
        box = _box(picture, text) if named else Box(0, 0, 0, 0)
        x, y = axes.transData.transform((row.intensity, unit * (row.tflops or 0)))
        radius = sqrt(_area(row) / 3.1416)
        found.append(Point(x, y, radius, box.x1 - box.x0, box.y1 - box.y0))
        texts.append(text)
    bounds = axes.get_window_extent()
    inside = Box(bounds.x0 + 4, bounds.y0 + 4, bounds.x1 - 4, bounds.y1 - 4)
    for point, text, spot in zip(found, texts, place(found, inside, taken), strict=True):
        if spot is None or not text.get_text():
            text.remove()
            continue
        text.set_position((spot.x0, spot.y0))
        near = (min(max(point.x, spot.x0), spot.x1), min(max(point.y, spot.y0), spot.y1))
        if (near[0] - point.x) ** 2 + (near[1] - point.y) ** 2 > (point.radius + 6) ** 2:
            axes.annotate(
                "", (point.x, point.y), near, xycoords="figure points",
                textcoords="figure points", zorder=5,
                arrowprops={"arrowstyle": "-", "color": theme.faint, "linewidth": 0.7},
            )  # fmt: skip


def _note(profile: Profile) -> str:
    """What the points are, and which methods have none."""
    text = "A disc is a method of the contract, its area the share of the step;"
    text += " a faint dot is one layer's call."
    none = [row for row in profile.methods if not (row.tflops and row.intensity) and row.ms]
    if none:
        names = ", ".join(row.method for row in none)
        ms = milliseconds(sum(row.ms for row in none))
        text += f" Without FLOPs: {names} ({ms} ms)."
    return text
