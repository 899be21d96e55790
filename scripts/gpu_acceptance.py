"""Check and time gpucnn on a machine with an NVIDIA GPU, in under eight minutes.

    python scripts/gpu_acceptance.py [--device cuda] [--output FILE] [--quick]

Compiles every kernel, runs the Ops tests on the device, compares every method with the cpu and the
emulator, looks for different bits on a second run and for bad memory accesses (where
compute-sanitizer is installed), trains two networks beside the cpu, and times every method, beside
PyTorch where that is installed. All figures go into one JSON file,
benchmarks/results/<gpu>-<date>.json, which is written anew after each section; tables to read go to
the screen and into a .txt file beside it.

Exit status: 0 everything passed, 1 something failed, 2 there is no such device, 130 interrupted.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from acceptance.isolation import LOST, isolated
from acceptance.kernels import kernels
from acceptance.machine import describe, without_pool
from acceptance.parity import determinism, parity
from acceptance.sections import Deadline, DeviceLostError, Section
from acceptance.suite import environment, sanitizer, tests
from acceptance.tables import overview, tables
from acceptance.timing import ratios, timing
from acceptance.training import training
from rich.console import Console

import gpucnn
from gpucnn.errors import DeviceError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SHAPES = ROOT / "configs" / "benchmark_shapes.yaml"
SHOWN_FAILURES = 5
WIDTH = 150
"""Characters of a line in the file of tables."""

# section -> the seconds it may take: 475 in all. In this order: what is wanted most comes first.
SECONDS = {
    "kernels": 60,
    "parity": 75,
    "timing": 120,
    "training": 30,
    "tests": 110,
    "determinism": 35,
    "sanitizer": 45,
}


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.section is not None:
        return run_here(options)
    if options.machine:
        return machine_here(options.device)
    # A GPU may serve one process at a time: the sections', so this one never opens it.
    asked = subprocess.run(
        [*command(options), "--machine"],
        env=environment(), stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        return asked.returncode
    report = Report.of(options, json.loads(asked.stdout))
    console = Console()
    try:
        for name in [options.only] if options.only else SECONDS:
            console.print(f"{name}: at most {SECONDS[name]} s")
            section = run(name, options, alone=bool(report.machine.get("exclusive")))
            for failure in section.failures[:SHOWN_FAILURES]:
                console.print(f"  {failure}", markup=False, highlight=False)
            report.add(section)
    except KeyboardInterrupt:
        return 130
    report.finish()
    console.print(overview(list(report.sections.values())))
    console.print(f"{report.machine['gpu']}: all figures are in {report.output}")
    return 0 if report.passed else 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or emulator: no times")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    parser.add_argument("--quick", action="store_true", help="small shapes and few of them")
    parser.add_argument("--only", choices=SECONDS, help="one section alone")
    # How a section is run in a process of its own (acceptance/isolation.py).
    parser.add_argument("--machine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--section", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60, help=argparse.SUPPRESS)
    parser.add_argument("--no-pool", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def command(options: argparse.Namespace) -> list[str]:
    """This script again, on the same device."""
    return [sys.executable, str(Path(__file__).resolve()), "--device", options.device]


def machine_here(device: str) -> int:
    """Print as JSON what the figures are measured on."""
    try:
        gpucnn.get_ops(device)
    except DeviceError as error:
        print(f"gpu_acceptance: {error}", file=sys.stderr)
        return 2
    print(json.dumps(describe(device)))
    return 0


def run(name: str, options: argparse.Namespace, *, alone: bool) -> Section:
    """One section, in processes of its own; what it raises is its failure and no other's.

    `alone`: no two of these at a time.
    """
    deadline, began = Deadline(SECONDS[name]), time.monotonic()
    try:
        if name == "tests":
            section = tests(options.device, deadline, options.quick, alone=alone)
        elif name == "sanitizer":
            section = sanitizer(options.device, deadline)
        else:
            again = [*command(options), *["--quick"] * options.quick]
            section = isolated(name, again, deadline)
        if name == "timing":
            section.note(**ratios(section.rows))
    except Exception as error:
        section = Section(name)
        section.fail(name, error)
    section.seconds = time.monotonic() - began
    return section


def run_here(options: argparse.Namespace) -> int:
    """A section in this process, into the journal; LOST where the device does not survive it."""
    if options.no_pool:
        without_pool()
    section = Section(options.section, journal=options.journal, first=options.first)
    table = yaml.safe_load(SHAPES.read_text())
    try:
        STEPS[options.section](section, table, Deadline(options.seconds), options)
    except DeviceLostError:
        traceback.print_exc()
        return LOST
    return 0


Step = Callable[[Section, dict[str, Any], Deadline, argparse.Namespace], None]
STEPS: dict[str, Step] = {
    "kernels": lambda section, _, end, o: kernels(section, o.device, end, o.quick),
    "parity": lambda section, table, end, o: parity(
        section, o.device, table, end, o.quick, alone=o.no_pool
    ),
    "determinism": lambda section, table, end, o: determinism(
        section, o.device, table, end, o.quick
    ),
    "training": lambda section, _, end, o: training(section, o.device, end, o.quick),
    "timing": lambda section, table, end, o: timing(section, o.device, table, end, o.quick),
}


@dataclass
class Report:
    """What is known so far, on disk after each section."""

    output: Path
    machine: dict[str, Any]
    sections: dict[str, Section]
    finished: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace, machine: dict[str, Any]) -> "Report":
        machine = {"date": date.today().isoformat(), **machine}
        report = cls(options.output or free_name(RESULTS, machine), machine, {})
        report.output.parent.mkdir(parents=True, exist_ok=True)
        report.write()
        return report

    @property
    def passed(self) -> bool:
        return self.finished and all(s.status != "failed" for s in self.sections.values())

    def add(self, section: Section) -> None:
        self.sections[section.name] = section
        self.write()

    def finish(self) -> None:
        self.finished = True
        self.write()

    def write(self) -> None:
        content = {**self.machine, "finished": self.finished, "passed": self.passed}
        content["sections"] = {name: s.to_json() for name, s in self.sections.items()}
        _replace(self.output, json.dumps(content, indent=1) + "\n")
        if self.sections:
            text = io.StringIO()
            for table in tables(self.sections):
                Console(file=text, width=WIDTH).print(table)
            _replace(self.output.with_suffix(".txt"), text.getvalue())


def free_name(folder: Path, machine: dict[str, Any]) -> Path:
    """The GPU and the date; with a number where a run before this one has taken that."""
    stem = f"{machine['gpu'].lower().replace(' ', '-').replace('/', '-')}-{machine['date']}"
    names = (f"{stem}-{number}" if number > 1 else stem for number in count(1))
    return next(path for name in names if not (path := folder / f"{name}.json").exists())


def _replace(path: Path, text: str) -> None:
    """Write whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
