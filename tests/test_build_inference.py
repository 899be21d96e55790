"""Evaluating and predicting with what a run has left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.build import evaluate, load_run, predict
from gpucnn.data import load_dataset, scale
from gpucnn.errors import CheckpointError, ConfigError, DataError, DeviceError
from gpucnn.training.checkpoint import (
    Checkpoint,
    encode_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from gpucnn.training.run_folder import RunFolder
from tests.build_runs import run

EPS32 = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    output = tmp_path_factory.mktemp("trained") / "run"
    return output, run(output)[0]


def test_evaluation_repeats_the_runs_own_figures(trained: tuple[Path, Any]) -> None:
    output, summary = trained
    result = evaluate(output)
    assert (result.accuracy, result.loss) == (summary.test_accuracy, summary.test_loss)
    assert result.source == RunFolder(output).best
    assert result.confusion.shape == (3, 3)
    counts = result.confusion.sum(axis=1)
    assert len(result.class_accuracy) == len(result.classes) == 3
    right = sum(rate * n for rate, n in zip(result.class_accuracy, counts, strict=True))
    assert right / counts.sum() == pytest.approx(result.accuracy)


def test_a_checkpoint_file_is_itself(trained: tuple[Path, Any]) -> None:
    last = RunFolder(trained[0]).last
    assert evaluate(last).source == last


def test_the_averaged_weights_are_loaded(trained: tuple[Path, Any]) -> None:
    checkpoint = read_checkpoint(RunFolder(trained[0]).best)
    state = load_run(trained[0]).model.state()
    np.testing.assert_array_equal(state["0.weight"], checkpoint.tensors["ema.0.weight"])
    assert (state["0.weight"] != checkpoint.tensors["model.0.weight"]).any()
    np.testing.assert_array_equal(
        state["1.running_mean"], checkpoint.tensors["model.1.running_mean"]
    )


def by_hand(output: Path, images: Any) -> Any:
    """The probabilities of images (N, C, H, W), uint8, from the model's outputs."""
    loaded = load_run(output)
    assert loaded.normalization is not None
    x = images.astype(np.float64) / 255
    mean, std = (np.array(v)[:, None, None] for v in vars(loaded.normalization).values())
    x = ((x - mean) / std).astype(np.float32)
    z = loaded.model.forward(x, train=False).astype(np.float64)
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def test_predictions_for_arrays(trained: tuple[Path, Any], tmp_path: Path) -> None:
    output, _ = trained
    # More than a batch of 9.
    images = np.random.default_rng(0).integers(0, 256, (11, 1, 6, 6), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, more=np.zeros(3))
    np.savez(tmp_path / "b.npz", whatever=images[:1])
    predictions = predict(output, [tmp_path / "a.npz", tmp_path / "b.npz"], top_k=2)
    expected = by_hand(output, images)
    classes = load_run(output).classes
    assert [p.item for p in predictions[:2]] == [f"{tmp_path}/a.npz[0]", f"{tmp_path}/a.npz[1]"]
    assert predictions[-1].item == f"{tmp_path}/b.npz[0]"
    for (_, top), row in zip(predictions, [*expected, expected[0]], strict=True):
        order = np.argsort(-row)[:2]
        assert [name for name, _ in top] == [classes[k] for k in order]
        # The normalised pixels and some 40 terms of the outputs, in float32.
        np.testing.assert_allclose([p for _, p in top], row[order], rtol=200 * EPS32)


def test_probabilities_of_all_classes_add_up(trained: tuple[Path, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros((1, 1, 6, 6), np.float32))
    ((_, top),) = predict(trained[0], [tmp_path / "a.npz"], top_k=99)
    assert len(top) == 3
    assert sum(p for _, p in top) == pytest.approx(1, abs=4 * EPS32)
    assert sorted((p for _, p in top), reverse=True) == [p for _, p in top]


def test_a_softmax_at_the_end_is_not_applied_twice(tmp_path: Path) -> None:
    end = "model.layers=[flatten, {sequential: {layers: [{linear: {units: 3}}, softmax]}}]"
    run(tmp_path / "run", end, "loss=mean_squared_error", "train.epochs=1", "train.ema=null")
    images = np.random.default_rng(0).random((2, 1, 6, 6), np.float32)
    np.savez(tmp_path / "a.npz", images)
    loaded = load_run(tmp_path / "run")
    assert loaded.normalization is not None
    x = loaded.normalization.apply(scale(images))
    y = loaded.model.forward(x, train=False)
    predictions = predict(tmp_path / "run", [tmp_path / "a.npz"], top_k=1)
    assert [top[0][1] for _, top in predictions] == [float(row.max()) for row in y]


def test_pictures_are_converted_with_a_note(trained: tuple[Path, Any], tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8)
    image.fromarray(pixels).save(tmp_path / "grey.png")
    image.fromarray(pixels).convert("RGB").resize((50, 40)).save(tmp_path / "colour.jpg")
    notes: list[str] = []
    names = [tmp_path / "grey.png", tmp_path / "colour.jpg"]
    predictions = predict(trained[0], names, top_k=3, note=notes.append)
    assert [p.item for p in predictions] == [str(n) for n in names]
    assert notes == ["pictures are converted to 1 channel of 6 x 6, as trained on"]
    expected = by_hand(trained[0], pixels[None, None])[0]
    shares = sorted(expected, reverse=True)
    np.testing.assert_allclose([p for _, p in predictions[0].top], shares, rtol=200 * EPS32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((1, 1, 5, 5), np.uint8)}, r"\(1, 5, 5\), the model takes \(1, 6, 6\)"),
        ({"a": np.zeros((1, 1, 6, 6)), "b": np.zeros(1)}, "one array, or one named images"),
        ({"images": np.zeros((6, 6), np.uint8)}, r"\(N, C, H, W\)"),
        ({"images": np.full((1, 1, 6, 6), np.nan)}, "NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    trained: tuple[Path, Any], tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        predict(trained[0], [tmp_path / "a.npz"])


def test_files_that_are_no_images_are_refused(trained: tuple[Path, Any], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    for name in ("a.png", "missing.png", "missing.npz"):
        with pytest.raises(DataError, match=name):
            predict(trained[0], [tmp_path / name])
    with pytest.raises(ConfigError, match="top_k must be at least 1"):
        predict(trained[0], [], top_k=0)


def test_a_picture_has_not_two_channels(tmp_path: Path) -> None:
    two = ["data.image=[2, 6, 6]", "model.input=[2, 6, 6]", "train.epochs=1"]
    run(tmp_path / "run", *two)
    with pytest.raises(DataError, match=r"2 channels.*\.npz"):
        predict(tmp_path / "run", [tmp_path / "a.png"])


def test_a_set_without_test_images_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "data.npz"
    images = rng.integers(0, 256, (30, 1, 6, 6), np.uint8)
    np.savez(data, x_train=images, y_train=np.arange(30) % 3)
    run(tmp_path / "run", f'data={{"name": "npz", "path": "{data}", "validation": 0.2}}')
    with pytest.raises(DataError, match="npz has no test set"):
        evaluate(tmp_path / "run")
    # The same place now holds other classes.
    np.savez(
        data,
        x_train=images,
        y_train=np.arange(30) % 3,
        x_test=images,
        y_test=np.arange(30) % 3,
        classes=np.array(["a", "b", "c"]),
    )
    with pytest.raises(DataError, match="not those that"):
        evaluate(tmp_path / "run")


def test_classes_come_from_the_checkpoint(trained: tuple[Path, Any]) -> None:
    assert (
        load_run(trained[0]).classes
        == load_dataset("synthetic", samples=40, classes=3, image=[1, 6, 6]).train.classes
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"classes": ["a"]}, "class names"),
        ({"classes": "abc"}, "class names"),
        ({"classes": [1, 2, 3]}, "class names"),
        ({}, "class names"),
        ({"normalization": {"mean": [0.5]}}, "normalization is damaged"),
        ({"normalization": {"mean": ["x"], "std": [1.0]}}, "normalization is damaged"),
        ({"normalization": {"mean": [0.5], "std": [0.0]}}, "normalization is damaged"),
        ({"normalization": {"mean": [0, 0], "std": [1, 1]}}, "normalization does not fit"),
        ({"normalization": 3}, "normalization is damaged"),
    ],
)
def test_a_checkpoint_with_other_meanings_is_refused(
    trained: tuple[Path, Any], tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    good = read_checkpoint(RunFolder(trained[0]).last)
    changed = {**good.data, **data} if data else {}
    path = tmp_path / "c.safetensors"
    checkpoint = Checkpoint(
        good.tensors, good.config, good.counters, changed, good.versions, good.times
    )
    write_checkpoint(path, encode_checkpoint(checkpoint))
    with pytest.raises(CheckpointError, match=message):
        load_run(path)


def test_a_config_of_another_version_is_named(trained: tuple[Path, Any], tmp_path: Path) -> None:
    good = read_checkpoint(RunFolder(trained[0]).last)
    path = tmp_path / "c.safetensors"
    checkpoint = Checkpoint(
        good.tensors, "future: 1\n", good.counters, good.data, good.versions, good.times
    )
    write_checkpoint(path, encode_checkpoint(checkpoint))
    with pytest.raises(CheckpointError, match="does not take"):
        load_run(path)


def test_a_device_that_is_not_there_is_an_error(trained: tuple[Path, Any]) -> None:
    with pytest.raises(DeviceError):
        load_run(trained[0], "cuda")
