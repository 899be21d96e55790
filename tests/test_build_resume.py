"""A resumed run equals the unbroken one, wherever it was interrupted, bit for bit."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gpucnn.build.run
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.training.checkpoint import read_checkpoint
from gpucnn.training.interruption import Interrupted, Interruption
from gpucnn.training.run_folder import RunFolder
from tests.build_runs import files, outcome, records, run, unbroken_outcome


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture and no waiting for the disk, the slowest parts of so small a run.

    Neither shows in what is compared: fsync matters to a machine that stops, not to a process.
    """
    monkeypatch.setattr(gpucnn.build.run, "draw_curves", lambda metrics, picture: False)
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return unbroken_outcome(tmp_path_factory.mktemp("unbroken") / "run")


def interrupt_at(point: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the run's check number `point` raise Interrupted; the list grows with each check."""
    calls: list[int] = []

    class Counted(Interruption):
        def check(self) -> None:
            calls.append(len(calls) + 1)
            if len(calls) == point:
                raise Interrupted

    monkeypatch.setattr(gpucnn.build.run, "Interruption", Counted)
    return calls


# 4 training batches and a validation batch an epoch, then the test set's batches.
CHECKS = 3 * 5


@pytest.mark.parametrize("point", range(1, CHECKS + 2))
def test_interrupted_anywhere(
    tmp_path: Path, unbroken: dict[str, Any], point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        calls = interrupt_at(point, patch)
        summary, text = run(output)
    assert len(calls) == point
    assert summary.stop_reason == "interrupted"
    assert summary.test_accuracy is None
    assert f"--resume {output}" in text
    assert json.loads(RunFolder(output).summary.read_text()) == summary.to_json()
    run(output, resume=output)
    assert outcome(output) == unbroken


def test_interrupted_after_every_step(
    tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    reasons = []
    for number in range(100):
        with monkeypatch.context() as patch:
            interrupt_at(2, patch)
            summary, _ = run(output, **({"resume": output} if number else {}))
        reasons.append(summary.stop_reason)
        if reasons[-1] != "interrupted":
            break
        if summary.iterations == 12:
            run(output, resume=output)
            break
    assert len(reasons) > 6
    assert outcome(output) == unbroken


class Crash(BaseException):
    """What nothing catches: as near to a power cut as one process gets."""


def crash_at(point: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the call number `point` of os.fsync or os.replace, or of a write, raise Crash."""
    calls: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            calls.append(name)
            if len(calls) == point:
                raise Crash
            return function(*arguments)

        return wrapper

    monkeypatch.setattr(os, "fsync", counted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", counted("replace", os.replace))
    return calls


def test_a_crash_at_any_file_operation(
    tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    point, resumed = 0, 0
    while True:
        point += 1
        output = tmp_path / str(point)
        with monkeypatch.context() as patch:
            calls = crash_at(point, patch)
            try:
                run(output)
            except Crash:
                pass
            else:
                break
        folder = RunFolder(output)
        if folder.last.exists():
            read_checkpoint(folder.last)
            resumed += 1
            run(output, resume=output)
        else:
            run(output)
        assert outcome(output) == unbroken, f"crashed at operation {point}, {calls[-1]}"
    # config, environment, summary and at least one checkpoint an epoch, three operations each.
    assert point > 18
    assert resumed > 9


# --- what resuming accepts ---


def test_a_finished_run_ends_the_same_again(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    run(tmp_path)
    run(tmp_path, resume=tmp_path)
    assert outcome(tmp_path) == unbroken


def test_the_old_summary_goes_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    assert RunFolder(tmp_path).summary.exists()

    def crash(self: Any) -> str:
        raise Crash

    monkeypatch.setattr(gpucnn.build.run.Trainer, "fit", crash)
    with pytest.raises(Crash):
        run(tmp_path, resume=tmp_path)
    assert not RunFolder(tmp_path).summary.exists()


@pytest.mark.parametrize("ended", ["max_iterations=6", "epsilon=10", "early_stopping=1"])
def test_a_stopped_run_stays_stopped(tmp_path: Path, ended: str) -> None:
    key, value = ended.split("=")
    changes = [f"train.{ended}", "optimizer.sgd.lr=1e-30", "train.epochs=4"]
    first, _ = run(tmp_path, *changes)
    assert first.stop_reason == key, value
    before = outcome(tmp_path)
    again, _ = run(tmp_path, *changes, "train.epochs=6", resume=tmp_path)
    assert again.stop_reason == key
    assert outcome(tmp_path) == before


def test_more_epochs_continue_with_the_longer_schedule(tmp_path: Path) -> None:
    constant = "schedule=constant"
    run(tmp_path / "whole", constant, "train.epochs=5")
    run(tmp_path / "part", constant)
    run(tmp_path / "part", constant, "train.epochs=5", resume=tmp_path / "part")
    assert outcome(tmp_path / "part") == outcome(tmp_path / "whole")

    run(tmp_path / "cosine")
    run(tmp_path / "cosine", "train.epochs=5", resume=tmp_path / "cosine")
    run(tmp_path / "whole_cosine", "train.epochs=5")
    rates = [[r["lr"] for r in records(tmp_path / n)] for n in ("cosine", "whole_cosine")]
    done = len([r for r in records(tmp_path / "cosine") if r["iteration"] <= 12])
    assert rates[0][done:] == rates[1][done:]
    assert rates[0][:done] != rates[1][:done]


@pytest.mark.parametrize("point", [3, 8, 13])
def test_another_output_takes_the_run_along(
    tmp_path: Path, unbroken: dict[str, Any], point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with monkeypatch.context() as patch:
        interrupt_at(point, patch)
        run(old)
    before = files(old)
    run(new, resume=old)
    assert outcome(new) == unbroken
    assert files(old) == before


def test_a_checkpoint_file_can_be_resumed(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    run(tmp_path / "old")
    best = RunFolder(tmp_path / "old").best
    run(tmp_path / "new", resume=best)
    assert outcome(tmp_path / "new") == unbroken


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("seed=4", r"seed \(was 3, now 4\)"),
        ("data.batch_size=8", r"data\.batch_size \(was 9, now 8\)"),
        ("data.samples=41", r"data\.options\.samples|data\.samples"),
        ("data.augment=[]", r"data\.augment"),
        ("model.layers.0.conv2d.filters=8", r"model\.layers\.0\.conv2d\.filters \(was 4, now 8\)"),
        ("optimizer.sgd.lr=0.2", r"optimizer\.sgd\.lr \(was 0\.1, now 0\.2\)"),
        ("schedule=constant", r"schedule\.constant\.warmup_epochs \(was not there"),
        ("train.ema=0.5", r"train\.ema"),
        ("train.log_every=3", r"train\.log_every"),
        ("train.max_iterations=99", r"train\.max_iterations \(was None, now 99\)"),
    ],
)
def test_any_other_change_is_refused_and_named(
    tmp_path: Path, change: str, key: str, finished: Path
) -> None:
    before = files(finished)
    with pytest.raises(ConfigError, match=key):
        run(finished, change, resume=finished)
    with pytest.raises(ConfigError, match="train anew"):
        run(tmp_path / "new", change, resume=finished)
    assert files(finished) == before
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "run"
    run(output)
    return output


def test_a_folder_with_another_run_is_not_written_into(tmp_path: Path, finished: Path) -> None:
    run(tmp_path / "other")
    before = files(tmp_path / "other")
    with pytest.raises(ConfigError, match="already holds a run"):
        run(tmp_path / "other", resume=finished)
    assert files(tmp_path / "other") == before


def test_fewer_epochs_than_done_are_refused(finished: Path) -> None:
    before = files(finished)
    with pytest.raises(ConfigError, match=r"train\.epochs 2 is less"):
        run(finished, "train.epochs=2", resume=finished)
    assert files(finished) == before


def test_a_lost_best_checkpoint_is_named(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_at(7, patch)
        run(output)
    RunFolder(output).best.unlink()
    before = files(output)
    with pytest.raises(CheckpointError, match=r"best weights so far, of epoch 1, .*best\.safe"):
        run(output, resume=output)
    RunFolder(output).best.write_bytes(RunFolder(finished).last.read_bytes())
    with pytest.raises(CheckpointError, match="best weights so far"):
        run(output, resume=output)
    RunFolder(output).best.unlink()
    assert files(output) == before


def test_a_damaged_checkpoint_leaves_everything_alone(tmp_path: Path) -> None:
    run(tmp_path)
    last = RunFolder(tmp_path).last
    data = bytearray(last.read_bytes())
    data[-5] ^= 1
    last.write_bytes(data)
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=r"last\.safetensors: damaged"):
        run(tmp_path, resume=tmp_path)
    assert files(tmp_path) == before


def test_there_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        run(tmp_path / "new", resume=tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no"):
        run(tmp_path / "new", resume=tmp_path)
    assert not (tmp_path / "new").exists()
