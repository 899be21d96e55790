"""What a run leaves behind, and what stops it before its first step."""

import getpass
import json
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpucnn.build.objects
from gpucnn.build import build_model, evaluate, resolve_device
from gpucnn.config import load_config, parse_config
from gpucnn.errors import ConfigError, DataError, DeviceError, NonFiniteError, ShapeError
from gpucnn.layers import Concat, Conv2d, Residual
from gpucnn.ops import get_ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.training.checkpoint import read_checkpoint
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.trainer import Trainer
from tests.build_runs import config, files, records, run

SUMMARY_KEYS = [
    "test_accuracy",
    "test_loss",
    "stop_reason",
    "epochs",
    "iterations",
    "seconds",
    "images_per_second",
    "device",
    "parameters",
]


def test_a_run_folder_holds_what_it_should(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    summary, text = run(tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert set(files(folder.path)) == {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "curves.png",
        "summary.json",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    }
    saved = json.loads(folder.summary.read_text())
    assert list(saved) == SUMMARY_KEYS
    assert saved == summary.to_json()
    assert (saved["epochs"], saved["iterations"], saved["device"]) == (3, 12, "cpu")
    # conv 4·9 + 4, batch norm 2·4, linear 3·36 + 3.
    assert saved["parameters"] == 40 + 8 + 111
    assert load_config(folder.config) == config(tmp_path / "run")
    for shown in ("test accuracy (best weights, epoch", "test loss", str(folder.path)):
        assert shown in text
    assert f"curves: {folder.curves}" in text


def test_the_environment_names_no_machine_and_no_folder(tmp_path: Path) -> None:
    run(tmp_path / "run", "train.epochs=1")
    text = RunFolder(tmp_path / "run").environment.read_text()
    values = json.loads(text)
    assert values["numpy"] == np.__version__
    assert {"gpucnn", "commit", "python", "blas", "platform", "cpu_count"} <= set(values)
    for secret in (socket.gethostname(), getpass.getuser(), str(Path.home()), "/"):
        assert f'"{secret}' not in text


def test_a_checkpoint_says_what_its_weights_mean(tmp_path: Path) -> None:
    run(tmp_path / "run", "train.epochs=1")
    checkpoint = read_checkpoint(RunFolder(tmp_path / "run").last)
    assert len(checkpoint.data["classes"]) == 3
    assert len(checkpoint.data["normalization"]["mean"]) == 1
    assert checkpoint.versions["numpy"] == np.__version__
    assert parse_config(checkpoint.config) == config(tmp_path / "run", "train.epochs=1")
    prefixes = {name.partition(".")[0] for name in checkpoint.tensors}
    assert prefixes == {"model", "optimizer", "ema"}


def test_two_runs_of_one_seed_are_the_same_and_of_two_are_not(tmp_path: Path) -> None:
    tensors = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(tmp_path / name, f"seed={seed}", "train.epochs=1")
        tensors.append(read_checkpoint(RunFolder(tmp_path / name).last).tensors)
    first, same, other = (t["model.0.weight"] for t in tensors)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_without_a_test_set_its_figures_are_null(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "data.npz"
    np.savez(
        data,
        x_train=rng.integers(0, 256, (30, 1, 6, 6), np.uint8),
        y_train=np.arange(30) % 3,
    )
    name = f'data={{"name": "npz", "path": "{data}", "batch_size": 9, "validation": 0.2}}'
    summary, text = run(tmp_path / "run", name)
    assert summary.test_accuracy is summary.test_loss is None
    assert "test accuracy" not in text
    assert json.loads(RunFolder(tmp_path / "run").summary.read_text())["test_loss"] is None


def test_without_validation_the_last_weights_are_tested(tmp_path: Path) -> None:
    summary, text = run(tmp_path / "run", "data.validation=0", "train.early_stopping=null")
    assert "test accuracy (last weights)" in text
    assert summary.test_accuracy is not None
    assert not RunFolder(tmp_path / "run").best.exists()


def test_the_best_weights_are_tested_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = Trainer._validate

    def worse_each_time(self: Trainer) -> Any:
        return replace(validate(self), accuracy=1 / (1 + self.progress.epoch))

    monkeypatch.setattr(Trainer, "_validate", worse_each_time)
    summary, text = run(tmp_path / "run", "train.ema=null")
    folder = RunFolder(tmp_path / "run")
    assert "test loss (best weights, epoch 1)" in text
    assert read_checkpoint(folder.best).counters["epoch"] == 1
    assert summary.test_loss == evaluate(folder.best).loss
    assert summary.test_loss != evaluate(folder.last).loss


def test_the_gradient_of_the_images_is_not_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    wanted = NumpyOps.conv2d_backward_input
    monkeypatch.setattr(
        NumpyOps, "conv2d_backward_input", lambda *a, **k: calls.append("dx") or wanted(*a, **k)
    )
    run(tmp_path / "run", "train.epochs=1")
    assert calls == []


def test_without_matplotlib_a_line_says_how_to_get_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    _, text = run(tmp_path / "run", "train.epochs=1")
    assert 'pip install "gpucnn[plot]"' in text
    assert not RunFolder(tmp_path / "run").curves.exists()


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    diverging = ["train.clip_norm=null", "train.ema=null", "optimizer.sgd.lr=1e30"]
    with pytest.raises(NonFiniteError, match=r"step \d+, epoch \d+, batch \d+ \(images \d+"):
        run(tmp_path / "run", *diverging)
    folder = RunFolder(tmp_path / "run")
    summary = json.loads(folder.summary.read_text())
    assert list(summary) == SUMMARY_KEYS
    assert summary["stop_reason"] == "non_finite"
    assert summary["test_accuracy"] is None
    if folder.last.exists():
        assert all(np.isfinite(a).all() for a in read_checkpoint(folder.last).tensors.values())


def test_nan_after_an_epoch_leaves_that_epochs_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer._step

    def poisoned(self: Trainer, batch: Any) -> None:
        if self.progress.iteration == 6:
            batch = batch._replace(images=np.full_like(batch.images, np.nan))
        step(self, batch)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(NonFiniteError, match="step 7, epoch 2, batch 3"):
        run(tmp_path / "run")
    assert read_checkpoint(RunFolder(tmp_path / "run").last).counters["epoch"] == 1


# --- what stops a run before anything is written ---


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("model.input=[1, 8, 8]", ConfigError, r"model\.input is \[1, 8, 8\].*\[1, 6, 6\]"),
        ("model.layers.6.linear.units=4", ConfigError, r"shape \(4,\).* 3 classes"),
        ("model.layers=[relu]", ConfigError, r"shape \(1, 6, 6\).* 3 classes"),
        ("model.layers.0.conv2d.kernel_size=9", ShapeError, "conv2d"),
        ("data.batch_size=99", ConfigError, "drop_last leaves no batch"),
        ("data.validation=0.001", DataError, "validation"),
        ("device=cuda", DeviceError, "cuda"),
    ],
)
def test_a_mistake_is_found_before_the_first_step(
    tmp_path: Path, change: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path / "run", "data.drop_last=true", change)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path / "run", "train.epochs=1")
    before = files(tmp_path / "run")
    with pytest.raises(ConfigError, match=f"--resume {tmp_path / 'run'}"):
        run(tmp_path / "run", "train.epochs=1")
    assert files(tmp_path / "run") == before


def test_a_folder_without_a_run_is_used(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "metrics.jsonl").write_text("torn")
    run(tmp_path, "train.epochs=1")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert RunFolder(tmp_path).metrics.read_text().startswith('{"event"')


def test_an_output_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ConfigError, match="cannot be a run folder"):
        run(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


# --- objects ---


def test_auto_says_what_it_chose_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu") == ("cpu", "device cpu")
    assert resolve_device("cuda:1") == ("cuda:1", "device cuda:1")

    def none(device: str) -> Any:
        raise DeviceError("no GPU here")

    monkeypatch.setattr(gpucnn.build.objects, "get_ops", none)
    assert resolve_device("auto") == ("cpu", "device cpu (auto: no GPU here)")
    monkeypatch.setattr(gpucnn.build.objects, "get_ops", lambda device: object())
    device, line = resolve_device("auto")
    assert device == "cuda"
    assert "\n" not in line


def test_autotune_says_where_there_is_nothing_to_measure(tmp_path: Path) -> None:
    _, text = run(tmp_path / "on", "train.autotune=true", "train.max_iterations=1")
    assert "autotune: nothing to measure on device cpu" in text
    _, text = run(tmp_path / "off", "train.max_iterations=1")
    assert "autotune:" not in text


def test_auto_trains_and_the_resolved_device_is_saved(tmp_path: Path) -> None:
    summary, text = run(tmp_path / "run", "device=auto", "train.epochs=1")
    assert text.splitlines()[0].startswith(f"device {summary.device} (auto: ")
    assert load_config(RunFolder(tmp_path / "run").config).device == summary.device


def test_nested_layers_are_built(tmp_path: Path) -> None:
    layers = """[
      {residual: {body: [{conv2d: {filters: 1, kernel_size: 3, padding: 1}}], shortcut: []}},
      {concat: {branches: [[relu], [{conv2d: {filters: 2, kernel_size: 1}}, tanh]]}},
      {sequential: {layers: [flatten, {linear: {units: 3}}]}}]"""
    model = build_model(config(tmp_path, f"model.layers={layers}"), get_ops("cpu"))
    first, second, third = model.layers
    assert isinstance(first, Residual)
    assert isinstance(second, Concat)
    assert sum(isinstance(layer, Conv2d) for layer in model.walk()) == 2
    assert third.input_shape == (3, 6, 6)
    assert model.output_shape == (3,)


def test_rounding_reaches_the_layers(tmp_path: Path) -> None:
    odd = "model.layers.3.max_pool2d.kernel_size=4"
    linear = "model.layers.6.linear.units=3"
    with pytest.raises(ShapeError):
        build_model(config(tmp_path, odd, linear), get_ops("cpu"))
    model = build_model(config(tmp_path, odd, linear, "model.rounding=floor"), get_ops("cpu"))
    assert model.layers[3].output_shape == (4, 1, 1)


def test_a_run_by_graphs_leaves_what_an_eager_one_leaves(tmp_path: Path) -> None:
    found = {}
    for mode in ("true", "false"):
        path = tmp_path / mode
        run(path, f"train.cuda_graph={mode}", "device=emulator", "train.epochs=5")
        checkpoint = read_checkpoint(RunFolder(path).last)
        found[mode] = (
            {key: a.tobytes() for key, a in checkpoint.tensors.items()},
            records(path),
        )
    assert found["true"] == found["false"]


def test_a_run_says_why_it_has_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "run"
    _, text = run(path, "device=emulator", "train.epochs=1", "train.epsilon=1e-9")
    assert "no CUDA graph: train.epsilon compares the weights" in text
    with pytest.raises(ConfigError, match=r"train\.cuda_graph is true, but device 'cpu'"):
        run(tmp_path / "other", "train.cuda_graph=true")
    assert not (tmp_path / "other").exists()
