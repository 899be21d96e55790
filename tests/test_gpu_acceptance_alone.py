"""scripts/gpu_acceptance.py on a GPU that serves one process at a time (nvidia-smi -c 3)."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
EMULATED = ROOT / "tests" / "emulated_cupy"
EXCLUSIVE = """
import fcntl, os
import cupy

def use(device):
    global held
    held = open(os.environ["THE_GPU"])
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorDevicesUnavailable") from None

cupy.cuda.Device.use = use
cupy.cuda.Device.attributes["ComputeMode"] = 3
"""
"""The emulated GPU, locked by whoever opens it until that process ends."""


def exclusive(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that sees that GPU, and no other."""
    (tmp_path / "sitecustomize.py").write_text(EXCLUSIVE)
    (tmp_path / "gpu").touch()
    path = os.pathsep.join(map(str, (tmp_path, ROOT, EMULATED)))
    return {**os.environ, "PYTHONPATH": path, "THE_GPU": str(tmp_path / "gpu")}


def run(tmp_path: Path, section: str) -> dict[str, Any]:
    output = tmp_path / "report.json"
    script = str(ROOT / "scripts" / "gpu_acceptance.py")
    done = subprocess.run(
        [sys.executable, script, "--quick", "--only", section, "--output", str(output)],
        env=exclusive(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def test_the_script_itself_leaves_it_to_its_sections(tmp_path: Path) -> None:
    report = run(tmp_path, "kernels")
    assert report["exclusive"]
    assert report["sections"]["kernels"]["status"] == "passed"


HOLD = """
import fcntl, time

def test_cuda():
    with open({gpu!r}) as gpu:
        fcntl.flock(gpu, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(1)
"""


def test_its_tests_run_one_file_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from acceptance import suite
    from acceptance.sections import Deadline

    for folder in ("ops", "layers"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
    for name in ("one", "two", "three"):
        text = HOLD.format(gpu=str(tmp_path / "gpu"))
        (tmp_path / "tests" / "ops" / f"test_{name}.py").write_text(text)
    (tmp_path / "gpu").touch()
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser): parser.addoption('--require-gpu', action='store_true')"
    )
    section = suite.tests("cuda", Deadline(60), quick=False, alone=True)
    assert section.summary == {"passed": 3, "failed": 0, "skipped": 0}


def test_a_gpu_that_another_has_is_named_in_words(tmp_path: Path) -> None:
    environment = exclusive(tmp_path)
    with (tmp_path / "gpu").open() as gpu:
        fcntl.flock(gpu, fcntl.LOCK_EX)
        code = "import gpucnn; gpucnn.get_ops('cuda')"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    assert "DeviceError: device 'cuda' is not available: CUDA does not open it" in done.stderr
    assert "cudaErrorDevicesUnavailable" in done.stderr
