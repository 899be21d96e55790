"""Metrics lines, the display, the curves, and the run folder's rules."""

import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.ops.base import Ops
from gpucnn.training.callbacks import MetricsLog
from gpucnn.training.curves import draw_curves
from gpucnn.training.display import PlainLines, ProgressBar, display
from gpucnn.training.run_folder import RunFolder, find_checkpoint, folder_of
from tests.training.helpers import problem, trainer


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_each_log_and_epoch(ops: Ops, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    trainer(ops, callbacks=[MetricsLog(path)], log_every=2, validation=problem(4, 4)).fit()
    records = lines(path)
    assert [r["event"] for r in records] == ["log", "epoch", "log", "log", "epoch"]
    common = {"event", "epoch", "iteration", "loss", "lr", "images_per_second", "seconds"}
    assert set(records[0]) == common
    assert set(records[1]) == common | {"validation_loss", "validation_accuracy", "best"}


@pytest.mark.parametrize("torn", ["", '{"event": "log", "epo', "\xff\xfe"])
def test_a_resumed_log_is_cut_to_its_checkpoint(ops: Ops, tmp_path: Path, torn: str) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    trainer(ops, callbacks=[log], log_every=2).fit()
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode("latin-1"))
    again = MetricsLog(path)
    again.load_state({"lines": 3})
    again.on_start(trainer(ops))
    assert path.read_bytes() == b"".join(whole.splitlines(True)[:3])
    again.on_log(trainer(ops), {"event": "new"})
    assert lines(path)[3:] == [{"event": "new"}]
    assert again.state() == {"lines": 4}


def test_a_new_log_begins_empty(ops: Ops, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("left from a run that never got to a checkpoint\n")
    MetricsLog(path).on_start(trainer(ops))
    assert path.read_bytes() == b""


@pytest.mark.parametrize("state", [{}, {"lines": "3"}, {"lines": True}, [], None])
def test_a_damaged_state_is_refused(tmp_path: Path, state: Any) -> None:
    with pytest.raises(CheckpointError):
        MetricsLog(tmp_path / "m").load_state(state)


def shown(ops: Ops, **console: Any) -> str:
    out = io.StringIO()
    callback = display(Console(file=out, width=200, **console))
    trainer(ops, callbacks=[callback], log_every=2, validation=problem(4, 4)).fit()
    return out.getvalue()


def test_plain_lines_where_there_is_no_terminal(ops: Ops) -> None:
    text = shown(ops)
    assert "\x1b" not in text
    first, second, *_ = text.splitlines()
    assert first.startswith("epoch 1/2  iteration 2  loss ")
    assert "validation loss" in second
    assert "(best so far)" in second
    assert len(text.splitlines()) == 5


def test_a_bar_on_a_terminal(ops: Ops) -> None:
    text = shown(ops, force_terminal=True)
    assert "epoch 2/2" in text
    assert "6/6" in text
    assert text.endswith("\x1b[2K")  # the bar is gone at the end
    assert text.count("validation loss") == 2


def test_the_display_suits_the_console() -> None:
    assert type(display(Console(file=io.StringIO()))) is PlainLines
    assert type(display(Console(file=io.StringIO(), force_terminal=True))) is ProgressBar


@pytest.mark.parametrize("validated", [True, False])
def test_curves(ops: Ops, tmp_path: Path, validated: bool) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    metrics, picture = tmp_path / "metrics.jsonl", tmp_path / "curves.png"
    validation = problem(4, 4) if validated else None
    trainer(ops, callbacks=[MetricsLog(metrics)], validation=validation).fit()
    assert draw_curves(metrics, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_curves_of_a_run_without_a_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    (tmp_path / "metrics.jsonl").touch()
    assert draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")


def test_no_curves_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (tmp_path / "metrics.jsonl").touch()
    assert not draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("name", ["last", "best", "summary"])
def test_a_folder_with_a_run_is_not_free(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path)
    folder.create()
    (tmp_path / "metrics.jsonl").touch()
    folder.check_free()
    getattr(folder, name).touch()
    with pytest.raises(ConfigError, match=f"--resume {tmp_path}"):
        folder.check_free()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be a run folder"):
        RunFolder(tmp_path / "file").create()


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builtins, "open", full)
    folder = RunFolder(tmp_path)
    with pytest.raises(ConfigError, match=r"summary\.json: No space left"):
        folder.write_json(folder.summary, {})


def test_which_checkpoint_run_means(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(CheckpointError, match="does not exist"):
        find_checkpoint(folder.path, best=True)
    folder.create()
    with pytest.raises(CheckpointError, match=r"holds no checkpoints/last\.safetensors"):
        find_checkpoint(folder.path, best=False)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_checkpoint(folder.path, best=True)
    folder.last.touch()
    assert find_checkpoint(folder.path, best=True) == folder.last
    folder.best.touch()
    assert find_checkpoint(folder.path, best=True) == folder.best
    assert find_checkpoint(folder.path, best=False) == folder.last
    assert find_checkpoint(folder.best, best=False) == folder.best
    assert folder_of(folder.best).path == folder.path.resolve()
