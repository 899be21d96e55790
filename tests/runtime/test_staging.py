"""Batches copied beside the work of a CUDA device, on streams as late as they may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("cases", ["tests/runtime/staging_cases.py"])
def test_staging_through_cupy(cases: str) -> None:
    """The tests of the file, in a process whose CuPy is the emulated one (tests/emulated_cupy)."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "emulated_cupy")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cases],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
