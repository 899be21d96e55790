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
machine.RESULTS = Path(sys.argv[1])
if sys.argv[2] == "with PyTorch":
    from tests.benchmarks.torch_on_host import open_gpu
    open_gpu()
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(
    name: str, results: Path, *arguments: str, with_torch: bool = False
) -> "subprocess.CompletedProcess[str]":
    """benchmarks/<name>.py with `arguments`, on a GPU for PyTorch too if `with_torch`."""
    folders = (ROOT, ROOT / "benchmarks", ROOT / "tests" / "emulated_cupy")
    torch = "with PyTorch" if with_torch else "without"
    start = [sys.executable, "-c", SCRIPT, str(results), torch]
    return subprocess.run(
        [*start, str(ROOT / "benchmarks" / f"{name}.py"), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
