"""Tests of what only the CuPy without a GPU (tests/emulated_cupy) can show."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_emulated(cases: str, *options: str) -> None:
    """Run a file's tests where the module cupy is the emulated one, with pytest's `options`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "emulated_cupy")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cases, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
