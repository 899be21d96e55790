"""A benchmark in a process of its own, whose results go into a folder, on cuda an emulated GPU."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys, runpy
from pathlib import Path
import machine
machine.RESULTS = Path(sys.argv.pop(1))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(name: str, results: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """benchmarks/<name>.py with `arguments`; a GPU that is there is not used."""
    folders = (ROOT, ROOT / "benchmarks", ROOT / "tests" / "emulated_cupy")
    return subprocess.run(
        [
            sys.executable,
            "-c",
            SCRIPT,
            str(results),
            str(ROOT / f"benchmarks/{name}.py"),
            *arguments,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
