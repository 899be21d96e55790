"""Check and time gpucnn on a machine with an NVIDIA GPU, in under eight minutes.

    python scripts/gpu_acceptance.py [--device cuda] [--output FILE] [--quick]

Runs the Ops tests on the device, compares every method with the cpu and the emulator, looks for
different bits on a second run and for bad memory accesses (where compute-sanitizer is installed),
trains two networks beside the cpu, and times every method, beside PyTorch where that is installed.
All figures go into one JSON file, benchmarks/results/<gpu>-<date>.json.

Exit status: 0 everything passed, 1 something failed, 2 there is no such device.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from acceptance.machine import describe, without_pool
from acceptance.parity import determinism, parity
from acceptance.sections import Deadline, Section
from acceptance.suite import sanitizer, tests
from acceptance.timing import timing
from acceptance.training import training
from rich.console import Console
from rich.table import Table

import gpucnn
from gpucnn.errors import DeviceError

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ROOT / "configs" / "benchmark_shapes.yaml"
SHOWN_FAILURES = 5

# section -> the seconds it may take: 470 in all
SECONDS = {
    "tests": 150,
    "parity": 55,
    "determinism": 20,
    "sanitizer": 60,
    "training": 45,
    "timing": 140,
}


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    console = Console()
    try:
        gpucnn.get_ops(options.device)
    except DeviceError as error:
        print(f"gpu_acceptance: {error}", file=sys.stderr)
        return 2
    if options.no_pool:
        without_pool()
    report: dict[str, Any] = {"date": date.today().isoformat(), **describe(options.device)}
    output = options.output or default_output(report)
    sections = run(options, console)
    report["sections"] = {section.name: section.to_json() for section in sections}
    report["passed"] = all(section.status != "failed" for section in sections)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
    console.print(overview(sections))
    console.print(f"{report['gpu']}: all figures are in {output}")
    return 0 if report["passed"] else 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or emulator: no times")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--quick", action="store_true", help="small shapes and few of them")
    parser.add_argument("--only", choices=SECONDS, help="one section alone")
    parser.add_argument(
        "--no-pool",
        action="store_true",
        help="allocate every array by itself, so that memcheck sees where it ends",
    )
    return parser.parse_args(argv)


def run(options: argparse.Namespace, console: Console) -> list[Section]:
    """Every section, each within its time; what one raises is its failure and no other's."""
    table = yaml.safe_load(SHAPES.read_text())
    device, quick = options.device, options.quick
    steps: dict[str, Callable[[Deadline], Section]] = {
        "tests": lambda deadline: tests(device, deadline, quick),
        "parity": lambda deadline: parity(device, table, deadline, quick),
        "determinism": lambda deadline: determinism(device, table, deadline, quick),
        "sanitizer": lambda deadline: sanitizer(device, deadline),
        "training": lambda deadline: training(device, deadline, quick),
        "timing": lambda deadline: timing(device, table, deadline, quick),
    }
    found = []
    for name, step in steps.items():
        if options.only not in (None, name):
            continue
        console.print(f"{name}: at most {SECONDS[name]} s")
        began = time.monotonic()
        try:
            section = step(Deadline(SECONDS[name]))
        except Exception as error:
            section = Section(name, failures=[f"{type(error).__name__}: {error}"])
        section.seconds = time.monotonic() - began
        for failure in section.failures[:SHOWN_FAILURES]:
            console.print(f"  {failure}", markup=False, highlight=False)
        found.append(section)
    return found


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


def default_output(report: dict[str, Any]) -> Path:
    name = report["gpu"].lower().replace(" ", "-").replace("/", "-")
    return ROOT / "benchmarks" / "results" / f"{name}-{report['date']}.json"


if __name__ == "__main__":
    sys.exit(main())
