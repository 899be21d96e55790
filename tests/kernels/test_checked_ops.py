"""Every test of every operation, once more with every access checked."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_operation_is_clean_in_checked_mode() -> None:
    options = ["-q", "-p", "tests.kernels.force_checked", "-k", "emulator", "--tb=short"]
    command = [sys.executable, "-m", "pytest", *options, "tests/ops"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert " passed" in done.stdout
