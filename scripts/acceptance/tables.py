"""The report as tables to read."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from acceptance.sections import Section
from gpucnn.profiling.benchmark.torch_calls import MODES


def tables(sections: dict[str, Section]) -> Iterator[Table]:
    """An overview, then what each section measured, as far as it came."""
    yield overview(list(sections.values()))
    for name, make in (("parity", parity), ("training", training), ("timing", timing)):
        if name in sections and sections[name].rows:
            yield make(sections[name].rows)


def overview(sections: list[Section]) -> Table:
    table = Table("section", "status", "seconds", "rows", "failures", "summary")
    for section in sections:
        summary = section.skipped or ", ".join(f"{k} {v}" for k, v in section.summary.items())
        table.add_row(
            section.name,
            section.status,
            f"{section.seconds:.1f}",
            str(len(section.rows)),
            str(len(section.failures)),
            summary,
        )
    return table


def parity(rows: list[dict[str, Any]]) -> Table:
    """The worst shape of each method and device."""
    table = Table(
        "method", "device", "shapes", "worst", "max abs", "max relative", "ulps", "agrees"
    )
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["device"]), []).append(row)
    for (method, device), group in groups.items():
        worst = max(group, key=lambda row: (not row["agrees"], row["max_abs"]))
        table.add_row(
            method,
            device,
            str(len(group)),
            worst["shape"],
            f"{worst['max_abs']:.2e}",
            f"{worst['max_relative']:.2e}",
            str(worst["ulps"]),
            "yes" if worst["agrees"] else f"no, first at {worst['first']}",
        )
    return table


def training(rows: list[dict[str, Any]]) -> Table:
    heads = ("first loss", "last loss", "cpu's last", "apart")
    ways = ("graph", "eager", "host", "staged", "resident")
    table = Table("network", "steps", *heads, *(f"{way} ms" for way in ways), "same bits")
    for row in rows:
        losses, there = (row[key] or [float("nan")] for key in ("losses", "cpu_losses"))
        figures = [f"{figure:.5f}" for figure in (losses[0], losses[-1], there[-1])]
        times = [f"{row[f'{way}_ms']:.3f}" for way in ways]
        same = "yes" if row["same_bits"] and row["same_bits_fed"] else "no"
        table.add_row(
            row["network"], str(row["steps"]), *figures, f"{row['apart']:.1e}", *times, same
        )
    return table


def timing(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds a call: ours, and PyTorch's in each mode."""
    table = Table("method", "shape", "ms", "TFLOP/s", "GB/s", *(f"torch {m}" for m in MODES))
    calls: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        calls.setdefault((row["method"], row["shape"]), {})[row["by"]] = row
    for (method, shape), by in calls.items():
        ours = by.get("gpucnn", {})
        figures = [_figure(ours, key) for key in ("ms", "tflops", "gb_per_s")]
        table.add_row(method, shape, *figures, *(_figure(by.get(mode, {}), "ms") for mode in MODES))
    return table


def _figure(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.3f}" if key in row else row.get("left_out", "")
