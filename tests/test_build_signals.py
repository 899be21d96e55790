"""Signals to a run in a process of its own: it ends as they ask, and can be resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpucnn.training.checkpoint import read_checkpoint
from gpucnn.training.run_folder import RunFolder
from tests.build_runs import TEXT, outcome, run, unbroken_outcome

ROOT = Path(__file__).resolve().parent.parent

# The step is slowed down, so that a signal meets the run in the middle of an epoch.
SLOW = """
import sys, time
from gpucnn.cli import main
from gpucnn.training.trainer import Trainer
step = Trainer._step
def slow(self, batch):
    step(self, batch)
    print("step", self.progress.iteration, flush=True)
    time.sleep(0.2)
Trainer._step = slow
sys.exit(main(sys.argv[1:]))
"""

# The first signal is said aloud, and then the run stops answering.
DEAF = """
import sys, time
from gpucnn.cli import main
from gpucnn.training.interruption import Interruption
from gpucnn.training.trainer import Trainer
def stuck(self, batch):
    print("step", flush=True)
    while True:
        time.sleep(0.01)
Trainer._step = stuck
note = Interruption._note
def noted(self, *arguments):
    note(self, *arguments)
    print("noted", flush=True)
Interruption._note = noted
sys.exit(main(sys.argv[1:]))
"""

# SIGKILL at the n-th os.fsync or os.replace, or half-way through the n-th write of a checkpoint.
KILL = """
import builtins, os, signal, sys
from gpucnn.cli import main
from gpucnn.training import files
kind, count = sys.argv[1], int(sys.argv[2])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
calls = 0
def at(path):
    global calls
    calls += str(path).endswith("last.safetensors.tmp")
    return calls == count and str(path).endswith("last.safetensors.tmp")
class Half:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *_): self.file.close()
    def __getattr__(self, name): return getattr(self.file, name)
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        die()
def half_open(path, mode):
    file = builtins.open(path, mode)
    return Half(file) if kind == "write" and at(path) else file
files.open = half_open
replace = os.replace
def dying_replace(old, new):
    if kind == "before rename" and at(old): die()
    replace(old, new)
    if kind == "after rename" and at(old): die()
os.replace = dying_replace
main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return unbroken_outcome(tmp_path_factory.mktemp("unbroken") / "run")


def start(tmp_path: Path, script: str, *arguments: str) -> "subprocess.Popen[str]":
    (tmp_path / "config.yaml").write_text(TEXT)
    command = [sys.executable, "-c", script, *arguments, "train", str(tmp_path / "config.yaml")]
    return subprocess.Popen(
        [*command, "--output", str(tmp_path / "run")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == line:
            return
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint(
    tmp_path: Path, unbroken: dict[str, Any], number: signal.Signals
) -> None:
    process = start(tmp_path, SLOW)
    wait_for(process, "step 6")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    output = tmp_path / "run"
    summary = json.loads(RunFolder(output).summary.read_text())
    assert summary["stop_reason"] == "interrupted"
    assert 6 <= summary["iterations"] < 12
    run(output, resume=output)
    assert outcome(output) == unbroken


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, DEAF)
    wait_for(process, "step")
    process.send_signal(signal.SIGINT)
    wait_for(process, "noted")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ("kind", "count"), [("write", 2), ("before rename", 2), ("after rename", 3)]
)
def test_sigkill_while_a_checkpoint_is_written(
    tmp_path: Path, unbroken: dict[str, Any], kind: str, count: int
) -> None:
    process = start(tmp_path, KILL, kind, str(count))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    output = tmp_path / "run"
    expected = count if kind == "after rename" else count - 1
    assert read_checkpoint(RunFolder(output).last).counters["epoch"] == expected
    assert not RunFolder(output).summary.exists()
    run(output, resume=output)
    assert outcome(output) == unbroken
