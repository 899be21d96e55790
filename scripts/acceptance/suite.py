"""What runs in processes of its own: the test suite on the device, and compute-sanitizer."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from acceptance.sections import Deadline, Section

ROOT = Path(__file__).resolve().parents[2]
LINES = 40
"""Of a failed process's output that go into the report."""


def tests(device: str, deadline: Deadline, quick: bool) -> Section:
    """The Ops tests on the device; on cuda a skip is a failure."""
    section = Section("tests")
    kind = device.split(":")[0]
    where = ["tests/ops/test_elementwise.py"] if quick else ["tests/ops", "tests/layers"]
    command = [sys.executable, "-m", "pytest", "-q", "-k", kind, *where]
    if kind == "cuda":
        command.append("--require-gpu")
    _run(section, command, deadline)
    return section


def sanitizer(device: str, deadline: Deadline) -> Section:
    """The small shapes of the parity section under compute-sanitizer's memcheck."""
    section = Section("sanitizer")
    tool = shutil.which("compute-sanitizer")
    if device == "emulator" or tool is None:
        section.skipped = (
            "compute-sanitizer is not on PATH" if tool is None else "it checks GPUs alone"
        )
        return section
    script = ROOT / "scripts" / "gpu_acceptance.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [tool, "--tool", "memcheck", "--error-exitcode", "9", sys.executable]
        command += [str(script), "--device", device, "--quick", "--only", "parity", "--no-pool"]
        _run(section, [*command, "--output", f"{folder}/report.json"], deadline)
    return section


def _run(section: Section, command: Sequence[str], deadline: Deadline) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=deadline.left,
        )
    except subprocess.TimeoutExpired:
        section.failures.append(f"not done after its time: {' '.join(command[1:4])}")
        return
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    section.summary = {"exit_status": done.returncode, "last_line": lines[-1] if lines else ""}
    if done.returncode:
        section.failures += lines[-LINES:] or [f"exit status {done.returncode}"]
