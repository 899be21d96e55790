"""What runs in processes of its own: the test suite on the device, and compute-sanitizer."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from acceptance.sections import Deadline, Section

ROOT = Path(__file__).resolve().parents[2]
LINES = 20
"""Of a failed process's output that go into the report."""
WORKERS = 4
"""Test files that run at once: each has a process, and so a GPU context, of its own."""
NO_TESTS = 5
"""pytest's exit status where a file has no test of the device."""
MEMCHECK = 9
"""The exit status that compute-sanitizer is told to end with where it found something."""


def environment() -> dict[str, str]:
    """The caller's, with the checkout first on Python's path."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def tests(device: str, deadline: Deadline, quick: bool, *, alone: bool) -> Section:
    """The tests of Ops and layers on the device, file by file; on cuda a skip is a failure.

    `alone`: one file at a time.
    """
    section = Section("tests")
    kind = device.split(":")[0]
    files = [
        path.relative_to(ROOT)
        for folder in ("ops", "layers")
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
        if not quick or path.name in ("test_elementwise.py", "test_shapes.py")
    ]
    with ThreadPoolExecutor(1 if alone else min(WORKERS, os.cpu_count() or 1)) as pool:
        for row, failures in pool.map(lambda file: _test_file(kind, file, deadline), files):
            if row is not None:
                section.add(row)
            for failure in failures:
                section.fail(failure)
    counts = ("passed", "failed", "skipped")
    section.note(**{key: sum(row[key] for row in section.rows) for key in counts})
    if not section.summary["passed"]:
        section.fail(f"no test ran on {kind}")
    return section


def _test_file(
    kind: str, file: Path, deadline: Deadline
) -> tuple[dict[str, Any] | None, list[str]]:
    """One file's counts, None where it has no test of the device, and its failures."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-v", "-k", kind, f"--junit-xml={report}"]
        command += ["--require-gpu"] if kind == "cuda" else []
        status, lines = run([*command, str(file)], deadline)
        if status == NO_TESTS:
            return None, []
        row = {"file": str(file), "passed": 0, "failed": 0, "skipped": 0}
        failures = [] if status in (0, 1) else [f"{file}: {describe(status)}", *lines[-LINES:]]
        if report.exists():
            for case in ElementTree.parse(report).iter("testcase"):
                found = {part.tag: part.get("message", "") for part in case}
                outcome = next((key for key in ("failure", "error", "skipped") if key in found), "")
                row[{"skipped": "skipped", "": "passed"}.get(outcome, "failed")] += 1
                if outcome in ("failure", "error"):
                    failures.append(f"{file}::{case.get('name')}: {found[outcome][:500]}")
        elif not failures:
            failures = [f"{file}: no report", *lines[-LINES:]]
        return row, failures


def sanitizer(device: str, deadline: Deadline) -> Section:
    """The small shapes of the parity section under compute-sanitizer's memcheck."""
    section = Section("sanitizer")
    tool = shutil.which("compute-sanitizer")
    if device == "emulator" or tool is None:
        section.skip("compute-sanitizer is not on PATH" if tool is None else "it checks GPUs alone")
        return section
    script = str(ROOT / "scripts" / "gpu_acceptance.py")
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        journal.touch()
        command = [tool, "--tool", "memcheck", "--error-exitcode", str(MEMCHECK), sys.executable]
        command += [script, "--device", device, "--quick", "--no-pool", "--section", "parity"]
        command += ["--journal", str(journal), "--seconds", f"{deadline.left:.0f}"]
        status, lines = run(command, deadline)
        checked = Section.read("parity", journal)
    section.note(exit_status=status, checked=len(checked.rows), last_line=lines[-1:])
    if status not in (0, MEMCHECK) and not checked.rows:
        section.skip("it does not run here: " + " ".join(lines[-3:]))
    elif status:
        section.fail(f"after {len(checked.rows)} calls: {describe(status)}")
        for line in lines[-LINES:]:
            section.fail(line)
    return section


def run(command: Sequence[str], deadline: Deadline) -> tuple[int | None, list[str]]:
    """The exit status, None where its time was up, and the lines that it wrote."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
        status: int | None = None
        try:
            status = process.wait(deadline.left)
        except subprocess.TimeoutExpired:
            # pytest reports what it has; a process that waits for the GPU hears nothing.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        output.seek(0)
        return status, [line.rstrip() for line in output if line.strip()]


def describe(status: int | None) -> str:
    return "ended, its time was up" if status is None else f"exit status {status}"
