"""Samples of a real training run in its metrics.jsonl."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import build
from gpucnn.errors import ConfigError
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.sampling import Sampler
from gpucnn.training.callbacks import MetricsLog
from tests import build_runs
from tests.profiling.runs import training


def samples(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [record for record in records if record["event"] == "profile"]


def sampled(tmp_path: Path, every: int, **settings: Any) -> list[dict[str, Any]]:
    metrics = MetricsLog(tmp_path / "metrics.jsonl")
    run = training(NumpyOps(), **settings)
    run.callbacks += [Sampler(metrics, every), metrics]
    run.fit()
    return samples(tmp_path / "metrics.jsonl")


def test_every_third_step_over_the_epochs(tmp_path: Path) -> None:
    found = sampled(tmp_path, 3, steps=4, epochs=2)
    assert [(r["iteration"], r["epoch"]) for r in found] == [(3, 1), (6, 2)]


@pytest.mark.parametrize("every", [1, 2])
def test_what_a_sample_holds(tmp_path: Path, every: int) -> None:
    found = sampled(tmp_path, every, steps=2)
    assert len(found) == 2 // every
    for r in found:
        assert r["computing_ms"] + r["gap_ms"] == pytest.approx(r["step_ms"])
        assert sum(r["methods"].values()) == pytest.approx(r["computing_ms"])
        assert sum(row["ms"] for row in r["layers"]) == pytest.approx(r["computing_ms"])
        assert {"conv2d_forward", "sgd_update", "set_grad"} <= set(r["methods"])
        assert 0 < r["data_wait_ms"] <= r["gap_ms"]
        assert {(row["layer"], row["pass"]) for row in r["layers"]} >= {
            ("model.layers.0", "backward"), ("", "loss"), ("", "update"),
        }  # fmt: skip


def test_a_sampled_run_computes_the_same(tmp_path: Path) -> None:
    metrics = MetricsLog(tmp_path / "metrics.jsonl")
    plain, other = training(NumpyOps(), epochs=3), training(NumpyOps(), epochs=3)
    other.callbacks.append(Sampler(metrics, 2))
    for run in (plain, other):
        run.fit()
    assert len(samples(tmp_path / "metrics.jsonl")) == 4
    assert other.progress == plain.progress
    assert np.array_equal(other.optimizer.values, plain.optimizer.values)
    assert not any(callable(value) for value in vars(other.ops).values())


def test_a_resumed_run_keeps_the_lines_of_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.run, "draw_curves", lambda metrics, picture: False)
    run = tmp_path / "run"
    build_runs.run(run, "train.epochs=1", profile_every=2)
    before = (run / "metrics.jsonl").read_text()
    build_runs.run(run, "train.epochs=2", resume=run, profile_every=2)
    after = (run / "metrics.jsonl").read_text()
    assert after.startswith(before)
    assert [r["iteration"] for r in samples(run / "metrics.jsonl")] == [2, 4, 6, 8]


@pytest.mark.parametrize("every", [0, -1, True, 2.5])
def test_a_wrong_interval_is_named(tmp_path: Path, every: Any) -> None:
    with pytest.raises(ConfigError, match=f"--profile-every must be .* got {every}"):
        Sampler(MetricsLog(tmp_path / "m"), every)
