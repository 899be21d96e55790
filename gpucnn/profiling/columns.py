"""The columns of a profile's tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpucnn.profiling.labels import (
    OUTSIDE,
    SMALL_TFLOPS,
    figure,
    layer_label,
    mebibytes,
    milliseconds,
    variant_label,
)
from gpucnn.profiling.limits import percent_of_limit
from gpucnn.profiling.profile import Profile, Row

WIDE = 130
"""Columns of a terminal from which every figure has its own."""


@dataclass(frozen=True)
class Column:
    """A column: its head, how a row shows in it, and whether only a wide terminal has it."""

    head: str
    cell: Callable[[Row], str]
    wide: bool = False
    left: bool = False


def layer_columns(profile: Profile) -> list[Column]:
    """Of the rows by layer and pass."""
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


def method_columns(profile: Profile, width: int) -> list[Column]:
    """Of the rows by method and kernel."""
    alone, short = own_kernel(profile), width < WIDE
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


def own_kernel(profile: Profile) -> set[str]:
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


def _maybe(value: Any, form: str = "") -> str:
    if value is None:
        return ""
    return form.format(value) if form else figure(value)
