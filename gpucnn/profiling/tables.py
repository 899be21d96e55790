"""A profile on the terminal, as wide as that is; whole where the output is a file or a pipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpucnn.profiling.limits import percent_of_limit
from gpucnn.profiling.profile import Profile, Row

WIDE = 130
"""Columns of a terminal from which every figure has its own."""

OUTSIDE = {"data": "batch", "loss": "loss", "update": "update", "": "step"}
"""What goes on outside of the layers, by phase."""

CONTAINERS = ("sequential", "layers", "residual", "concat")
"""Parts of a layer's path that a reader of the table can do without."""

GAPS = 6
"""Lines of the list of gaps."""

SMALLEST_GAP = 0.0005
"""Of the step; nobody misses smaller ones in the list."""

SMALL_TFLOPS = 1.0
"""A device below it is told in GFLOP/s."""

SMALLEST_SHARE = 0.002
"""Rows below this share of the step are summed up in one line."""


@dataclass(frozen=True)
class Column:
    """A column: its head, how a row shows in it, and whether only a wide terminal has it."""

    head: str
    cell: Callable[[Row], str]
    wide: bool = False
    left: bool = False


def print_profile(console: Console, profile: Profile) -> None:
    """Print the whole profile."""
    # A file or a pipe has no edge to keep within.
    width = console.width if console.is_terminal else max(console.width, 200)
    _say(console, "\n".join(heading(profile)))
    _print(console, "By layer and pass", _layer_columns(profile), profile.layers, width)
    title = "By method, its kernels below it" if profile.kernels else "By method"
    _print(console, title, _method_columns(profile, width), _nested(profile), width)
    _say(console, "\n".join(summary(profile)))


def heading(profile: Profile) -> list[str]:
    """What was profiled, on what, and what its rates are compared with."""
    m, c = profile.meta, profile.ceilings
    lines = [
        f"{m.get('config', 'model')} on {m['device']} ({m['device_name']}), batch"
        f" {m.get('batch_size', '?')}: {m['steps']} steps after {m['warmup']}"
    ]
    if m.get("choice"):
        lines.append(m["choice"])
    if profile.predicted:
        lines.append(f"PREDICTED times, for {m.get('gpu')}: nothing was measured on such a device")
    elif m["device"] == "emulator":
        lines.append("the times are the emulator's own and say nothing about a GPU")
    if c is not None:
        lines.append(
            f"ceilings: copy {figure(c.copy_gb_s)} GB/s, matrix product {_flops(c.gemm_tflops)}"
            f" ({c.source})"
        )
    return lines


def summary(profile: Profile) -> list[str]:
    """Where the step went: computing, gaps, waits."""
    low, mid, high = _quartiles(profile.step_ms)
    lines = [
        f"step      {milliseconds(mid)} ms, quartiles {milliseconds(low)} to {milliseconds(high)}"
        + _cost(profile, mid),
        f"computing {milliseconds(profile.busy_ms)} ms, {profile.accounted:.1%} of the step"
        " without its gaps",
        f"gaps      {milliseconds(profile.gap_ms)} ms, the wait for data among them"
        f" ({milliseconds(profile.data_wait_ms)} ms)",
    ]
    for gap in [gap for gap in profile.gaps if gap.share >= SMALLEST_GAP][:GAPS]:
        place = _place(profile, gap.layer, gap.phase)
        lines.append(f"  {milliseconds(gap.ms):>8} ms  {place}: {gap.where}")
    for wait in profile.waits:
        place = _place(profile, wait.layer, wait.phase)
        kind = "hidden synchronisation" if wait.hidden else "the host waits for the device"
        lines.append(
            f"{kind}: {place}, {wait.where}: {milliseconds(wait.ms)} ms a step"
            f" ({wait.steps} of {len(profile.step_ms)} steps)"
        )
    if profile.memory:
        peak = max(profile.memory, key=lambda row: row.peak_bytes)
        place = _place(profile, peak.layer, peak.phase)
        lines.append(f"memory    {mebibytes(peak.peak_bytes)} MiB at most, in {place}")
    return lines


def _cost(profile: Profile, observed: float) -> str:
    if not profile.plain_ms:
        return ""
    plain = _quartiles(profile.plain_ms)[1]
    return f"; {milliseconds(plain)} ms when it is not observed"


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    import numpy as np

    low, mid, high = np.percentile(values, (25, 50, 75))
    return float(low), float(mid), float(high)


def _place(profile: Profile, layer: str, phase: str) -> str:
    if not layer:
        return OUTSIDE.get(phase, phase)
    return f"{layer_label(profile, layer)} {phase}"


def layer_label(profile: Profile, path: str) -> str:
    """A layer's place and name, as "3.body.0 conv2d"."""
    if path == "model":
        return path
    parts = [part for part in path.split(".")[2:] if part not in CONTAINERS]
    return f"{'.'.join(parts)} {profile.layer_names.get(path, '')}".strip()


def _layer_columns(profile: Profile) -> list[Column]:
    memory = {(m.layer, m.phase): m for m in profile.memory}

    def label(row: Row) -> str:
        return layer_label(profile, row.layer) if row.layer else OUTSIDE[row.phase]

    def peak(row: Row) -> str:
        found = memory.get((row.layer, row.phase))
        return mebibytes(found.peak_bytes) if found else ""

    def kept(row: Row) -> str:
        found = memory.get((row.layer, row.phase))
        return mebibytes(found.kept_bytes) if found and round(found.kept_bytes / 2**20, 1) else ""

    return [
        Column("layer", label, left=True),
        Column("pass", lambda row: row.phase, left=True),
        *_times(profile),
        Column("gap ms", lambda row: milliseconds(row.gap_ms)),
        *_rates(profile, wide=True),
        Column("peak MiB", peak, wide=True),
        Column("left MiB", kept, wide=True),
    ]


def _method_columns(profile: Profile, width: int) -> list[Column]:
    alone, short = _alone(profile), width < WIDE
    columns = [
        Column(
            "method",
            lambda row: _method_label(row, alone, short),
            left=True,
        ),
        *_times(profile, spread_wide=bool(profile.kernels)),
        *_rates(profile),
    ]
    if any(row.registers is not None for row in profile.kernels):
        columns += [
            Column("regs", lambda row: _maybe(row.registers, "{}")),
            Column("shared", lambda row: _maybe(row.shared_bytes, "{:,}"), wide=True),
            Column("occup.", lambda row: _maybe(row.occupancy, "{:.0%}")),
        ]
    return columns


def _times(profile: Profile, *, spread_wide: bool = False) -> list[Column]:
    spread = Column(
        "25-75%",
        lambda row: f"{milliseconds(row.low_ms)}-{milliseconds(row.high_ms)}",
        wide=spread_wide,
    )
    return [
        Column("calls", lambda row: f"{row.calls:g}", wide=True),
        Column("ms", lambda row: milliseconds(row.ms)),
        *([spread] if len(profile.step_ms) > 1 else []),
        Column("share", lambda row: f"{row.share:.1%}"),
    ]


def _rates(profile: Profile, *, wide: bool = False) -> list[Column]:
    # In the units of a GPU, or in those of a CPU.
    c = profile.ceilings
    unit, scale = ("G", 1e9) if c is None or c.gemm_tflops >= SMALL_TFLOPS else ("M", 1e6)
    rate, factor = ("TFLOP/s", 1) if unit == "G" else ("GFLOP/s", 1000)
    return [
        Column(f"{unit}FLOP", lambda row: _maybe(row.flops and row.flops / scale), wide=True),
        Column("MB", lambda row: _maybe(row.bytes and row.bytes / 1e6), wide=True),
        Column(rate, lambda row: _maybe(row.tflops and factor * row.tflops), wide),
        Column("GB/s", lambda row: _maybe(row.gb_s), wide),
        Column("FLOP/B", lambda row: _maybe(row.intensity), wide=True),
        Column("% GEMM", lambda row: _maybe(row.compute_percent), wide=True),
        Column("% copy", lambda row: _maybe(row.memory_percent), wide=True),
        Column("limit", _limit, left=True),
    ]


def _limit(row: Row) -> str:
    """The word, and for compute and memory how near the row comes to it."""
    percent = percent_of_limit(row)
    known = percent is not None and row.limit in ("compute", "memory")
    return f"{row.limit} {percent:.0f}%" if known else row.limit


def _alone(profile: Profile) -> set[str]:
    """The methods with one kernel of their own name: one line says it all."""
    kernels: dict[str, list[Row]] = {}
    for row in profile.kernels:
        kernels.setdefault(row.method, []).append(row)
    return {m for m, rows in kernels.items() if len(rows) == 1 and rows[0].kernel == m}


def _method_label(row: Row, alone: set[str], short: bool) -> str:
    """A kernel's variant needs the room of a wide terminal."""
    if not row.kernel:
        return row.method
    indent = "" if row.method in alone else "  "
    return f"{indent}{row.kernel}{'' if short else ' ' + variant_label(row.variant)}".rstrip()


def variant_label(variant: str) -> str:
    """A kernel's type and macros, tiles in short: "float 32x64x8 4x4", "float ARGMAX=uint8"."""
    sizes: dict[str, list[str]] = {}
    words = []
    for word in variant.split():
        name, equals, value = word.partition("=")
        if name.startswith(("TILE_", "THREAD_")):
            sizes.setdefault(name.split("_")[0], []).append(value)
        else:
            words.append(name + equals + value)
    return " ".join([*words, *("x".join(values) for values in sizes.values())])


def _nested(profile: Profile) -> list[Row]:
    """The methods, each with its kernels after it."""
    rows: list[Row] = []
    alone = _alone(profile)
    for method in profile.methods:
        kernels = [kernel for kernel in profile.kernels if kernel.method == method.method]
        rows += kernels if method.method in alone else [method, *kernels]
    return rows


def _print(
    console: Console, title: str, columns: Sequence[Column], rows: Sequence[Row], width: int
) -> None:
    small = [row for row in rows if row.share < SMALLEST_SHARE and row.gap_ms <= row.ms]
    large = [row for row in rows if row not in small]
    shown = [
        column
        for column in columns
        if (width >= WIDE or not column.wide) and any(column.cell(row) for row in large)
    ]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1 if width >= WIDE else 0, 0, 0))
    for column in shown:
        table.add_column(
            Text(column.head),
            justify="left" if column.left else "right",
            overflow="fold",
            no_wrap=column is shown[0] and width >= WIDE,
        )
    for row in large:
        table.add_row(*(Text(column.cell(row)) for column in shown))
    _say(console, f"\n{title}")
    console.print(table, width=None if console.is_terminal else width)
    if small:
        least = milliseconds(sum(row.ms for row in small))
        _say(console, f"and {len(small)} rows below {SMALLEST_SHARE:.1%} of the step: {least} ms")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _flops(tflops: float) -> str:
    small = tflops < SMALL_TFLOPS
    return f"{figure(1000 * tflops)} GFLOP/s" if small else f"{figure(tflops)} TFLOP/s"


def _maybe(value: Any, form: str = "") -> str:
    if value is None:
        return ""
    return form.format(value) if form else figure(value)


def figure(value: float) -> str:
    """Three significant digits, thousands apart; never an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.0005:
        return "<0.001"
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else ""
    return text or f"{value:.3f}"


def milliseconds(value: float) -> str:
    """To the microsecond, and coarser from 10 ms on."""
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


def mebibytes(value: int) -> str:
    return f"{value / 2**20:,.1f}"
