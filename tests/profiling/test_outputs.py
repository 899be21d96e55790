"""Which files are written, and what is said of those that are not."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gpucnn.profiling import outputs, page
from gpucnn.profiling.outputs import write_outputs
from tests.profiling.runs import queued
from tests.profiling.test_profile_files import profile

ALWAYS = ["profile.html", "trace.json"]


@pytest.mark.parametrize(
    ("ceilings", "pictures", "said"),
    [
        (True, ["roofline.png", "time_by_layer.png"], []),
        (False, ["time_by_layer.png"], ["no roofline.png: there are no rates, or no ceilings"]),
    ],
)
def test_the_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ceilings: bool,
    pictures: list[str],
    said: list[str],
) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    monkeypatch.setattr(page, "can_draw", lambda: False)
    found = profile() if ceilings else replace(profile(), ceilings=None)
    notes = write_outputs(tmp_path, found, queued())
    assert sorted(os.listdir(tmp_path)) == sorted([*ALWAYS, *pictures])
    assert [note[: len(start)] for note, start in zip(notes, said, strict=True)] == said
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert (tmp_path / "profile.html").read_text("utf-8").startswith("<!doctype html>")


def test_without_matplotlib_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (outputs, page):
        monkeypatch.setattr(module, "can_draw", lambda: False)
    (note,) = write_outputs(tmp_path, profile(), queued())
    assert 'need matplotlib, pip install "gpucnn[plot]"' in note
    assert sorted(os.listdir(tmp_path)) == ALWAYS


def test_sums_over_launches_have_neither_a_trace_nor_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    monkeypatch.setattr(page, "can_draw", lambda: False)
    found = replace(
        profile(), layers=(), calls=(), gaps=(), memory=(), ceilings=None, layer_names={}
    )
    notes = write_outputs(tmp_path, found, ())
    assert [note.split(":")[0] for note in notes] == [
        "no trace.json", "no roofline.png", "no time_by_layer.png",
    ]  # fmt: skip
    assert os.listdir(tmp_path) == ["profile.html"]
    text = (tmp_path / "profile.html").read_text("utf-8")
    assert all(f'id="{name}"' not in text for name in ("layers", "calls", "gaps", "memory"))
    assert all(f'id="{name}"' in text for name in ("longest", "methods", "kernels"))
    assert "waiting for data</dt>" not in text
