"""A benchmark from the command's words: device, shapes and PyTorch -> result file and chart."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from gpucnn.config import load_shapes
from gpucnn.config.shapes import default_shapes
from gpucnn.ops import get_ops
from gpucnn.profiling.benchmark import chart
from gpucnn.profiling.benchmark.device import Device, import_torch
from gpucnn.profiling.benchmark.results import Benchmark, chart_of, check_free, write_benchmark
from gpucnn.profiling.benchmark.run import Bench, Settings, chosen, facts
from gpucnn.profiling.ceilings import measure
from gpucnn.profiling.pictures import NEEDED, can_draw
from gpucnn.training.files import write_atomically

FOLDER = Path("runs/benchmark")
Progress = Callable[[int, int, str], None]
"""Called before each row with its number, how many there are and what it is; at the end with ""."""


def result_file(output: str | None, device: str) -> Path:
    """Where the result goes; ConfigError where something already lies there."""
    if output is None:
        stem = f"{device.replace(':', '-')}-{date.today().isoformat()}"
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        return next(path for name in names if not (path := FOLDER / f"{name}.json").exists())
    path = Path(output)
    check_free(path)
    return path


def benchmark(
    device: str,
    settings: Settings,
    *,
    output: Path,
    shapes: str | None = None,
    against: str | None = None,
    command: str = "",
    progress: Progress = lambda number, total, what: None,
) -> tuple[Benchmark, list[str]]:
    """Run it and write the files: the result, and a line for each file or why there is none.

    What was measured is written after an interruption, too.
    """
    planned = chosen(load_shapes(shapes or default_shapes()), settings)
    opened = Device(get_ops(device))
    torch = import_torch(against)
    best = measure(opened.ops, "measured in this run")
    bench = Bench(opened, get_ops("cpu"), torch, best, settings)
    found = Benchmark(
        facts(opened, torch, settings, _about(against, torch, command, shapes)),
        best,
        finished=False,
    )
    rows = []
    try:
        for number, each in enumerate(planned, start=1):
            progress(number, len(planned), str(each.case))
            rows.append(bench.row(each))
        found = replace(found, finished=True)
    finally:
        progress(len(planned), len(planned), "")
        found = replace(found, rows=tuple(rows))
        written = _write(output, found)
    return found, written


def _write(output: Path, found: Benchmark) -> list[str]:
    """The result and its chart: what was written, or why not, in words."""
    write_benchmark(output, found)
    if not can_draw():
        return [f"{output}", f"no chart: it needs {NEEDED}"]
    picture = chart.draw(found)
    if picture is None:
        return [f"{output}", "no chart: no row has a time"]
    write_atomically(chart_of(output), picture)
    return [f"{output}", f"{chart_of(output)}"]


def _about(against: str | None, torch: Any, command: str, shapes: str | None) -> dict[str, Any]:
    found = {
        "date": date.today().isoformat(),
        "commit": _commit(),
        "command": command,
        "shapes": shapes or "gpucnn's own",
        "against": "none" if torch is None else "torch",
    }
    if torch is None and against is None:
        found["why_alone"] = "PyTorch is not installed"
    return found


def _commit() -> str | None:
    """Of the checkout that this code is in; None where it is installed, or git is not."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None
