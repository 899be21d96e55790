"""A profile on the terminal, as wide as that is; whole where the output is a file or a pipe."""

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gpucnn.profiling.columns import WIDE, Column, layer_columns, method_columns, own_kernel
from gpucnn.profiling.labels import figure, flop_rate, mebibytes, milliseconds, place_label
from gpucnn.profiling.profile import Profile, Row

GAPS = 6
"""Lines of the list of gaps."""

SMALLEST_GAP = 0.0005
"""Of the step; nobody misses smaller ones in the list."""

SMALLEST_SHARE = 0.002
"""Rows below this share of the step are summed up in one line."""


def print_profile(console: Console, profile: Profile) -> None:
    """Print the whole profile."""
    # A file or a pipe has no edge to keep within.
    width = console.width if console.is_terminal else max(console.width, WIDE)
    _say(console, "\n".join(heading(profile)))
    _print(console, "By layer and pass", layer_columns(profile), profile.layers, width)
    title = "By method, its kernels below it" if profile.kernels else "By method"
    _print(console, title, method_columns(profile, width), _nested(profile), width)
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
            f"ceilings: copy {figure(c.copy_gb_s)} GB/s, matrix product {flop_rate(c.gemm_tflops)}"
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
        f"gaps      {milliseconds(profile.gap_ms)} ms: {_kinds(profile)}",
    ]
    for gap in [gap for gap in profile.gaps if gap.share >= SMALLEST_GAP][:GAPS]:
        place = place_label(profile, gap.layer, gap.phase)
        lines.append(f"  {milliseconds(gap.ms):>8} ms  {place}: {gap.where}")
    for wait in profile.waits:
        place = place_label(profile, wait.layer, wait.phase)
        kind = "hidden synchronisation" if wait.hidden else "the host waits for the device"
        lines.append(
            f"{kind}: {place}, {wait.where}: {milliseconds(wait.ms)} ms a step"
            f" ({wait.steps} of {len(profile.step_ms)} steps)"
        )
    if profile.memory:
        peak = max(profile.memory, key=lambda row: row.peak_bytes)
        place = place_label(profile, peak.layer, peak.phase)
        lines.append(f"memory    {mebibytes(peak.peak_bytes)} MiB at most, in {place}")
    return lines


def _kinds(profile: Profile) -> str:
    kinds = sorted(profile.gap_kinds.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {milliseconds(ms)}" for kind, ms in kinds)


def _cost(profile: Profile, observed: float) -> str:
    if not profile.plain_ms:
        return ""
    plain = _quartiles(profile.plain_ms)[1]
    return f"; {milliseconds(plain)} ms when it is not observed"


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, mid, high = np.percentile(values, (25, 50, 75))
    return float(low), float(mid), float(high)


def _nested(profile: Profile) -> list[Row]:
    """The methods, each with its kernels after it."""
    rows: list[Row] = []
    alone = own_kernel(profile)
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
    if not console.is_terminal:
        needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
        console.width = max(console.width, needed)
    console.print(table)
    if small:
        least = milliseconds(sum(row.ms for row in small))
        _say(console, f"and {len(small)} rows below {SMALLEST_SHARE:.1%} of the step: {least} ms")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
