"""Where a config's data lie on cuda. Run by test_build_resident.py, on the emulated cupy."""

from pathlib import Path

import cupy
import pytest

import gpucnn.build.run
from gpucnn.training.resident import ResidentBatches
from gpucnn.training.staged import StagedBatches
from tests.build_runs import outcome, run
from tests.test_build_resident import SIZE, places

DEVICE = "device=cuda"


def test_auto_keeps_what_fits_on_the_gpu(tmp_path: Path) -> None:
    found, said = places(tmp_path, DEVICE)
    assert found == [ResidentBatches] * 3
    assert said == [f"data on cuda: {SIZE:,} bytes, with {2**36:,} free on cuda"]


def test_what_does_not_fit_is_copied_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 4 * SIZE - 1
    monkeypatch.setattr(cupy.cuda.Device, "mem_info", (free, 2**36))
    found, said = places(tmp_path, DEVICE)
    assert found == [StagedBatches] * 3
    assert said == [f"data on the host: {SIZE:,} bytes, with {free:,} free on cuda"]


def test_false_keeps_it_on_the_host_and_asks_nothing(tmp_path: Path) -> None:
    assert places(tmp_path, DEVICE, "data.resident=false") == ([StagedBatches] * 3, [])


def test_runs_leave_the_same_wherever_the_data_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpucnn.build.run, "draw_curves", lambda metrics, picture: False)
    found = []
    for mode in ("auto", "false"):
        run(tmp_path / mode, DEVICE, f"data.resident={mode}", "train.epochs=4")
        found.append(outcome(tmp_path / mode))
    assert found[0] == found[1]
