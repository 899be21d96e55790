"""data.resident: where a config's data lie changes nothing but where batches are made."""

import os
from pathlib import Path
from typing import Any

import pytest

import gpucnn.build.profile
import gpucnn.build.run
from gpucnn.build import build_model, load_data
from gpucnn.build.memory import predict_memory
from gpucnn.build.objects import build_loss
from gpucnn.build.profile import profile
from gpucnn.build.resident import sources
from gpucnn.cli import main
from gpucnn.config import dump_config
from gpucnn.data import Loader, image_count, load_dataset
from gpucnn.errors import ConfigError, DeviceError
from gpucnn.ops import get_ops
from gpucnn.runtime.memory import HostMemory
from gpucnn.training.resident import ResidentBatches
from tests.build_runs import config, outcome, run
from tests.emulated import run_emulated

ON = ("device=emulator", "data.resident=true")
OFF = ("device=emulator", "data.resident=false")
ALL = "data.augment=[horizontal_flip, {random_shift: {pixels: 1}}, {rotation: {degrees: 9}}]"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture and no waiting for the disk."""
    monkeypatch.setattr(gpucnn.build.run, "draw_curves", lambda metrics, picture: False)
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("graph", ["true", "false"])
def test_a_run_leaves_the_same(tmp_path: Path, loss: str, graph: str) -> None:
    """Weights, averages, running statistics, metrics and the test's result."""
    more = (f"loss={loss}", ALL, "train.epochs=4")
    run(tmp_path / "there", *ON, *more, f"train.cuda_graph={graph}")
    run(tmp_path / "host", *OFF, *more)
    assert outcome(tmp_path / "there") == outcome(tmp_path / "host")


@pytest.mark.parametrize(("first", "second"), [(ON, OFF), (OFF, ON)], ids=["leave", "enter"])
def test_a_run_may_be_resumed_either_way(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    run(tmp_path / "whole", *OFF, "train.epochs=4")
    run(tmp_path / "parts", *first, "train.epochs=2")
    run(tmp_path / "parts", *second, "train.epochs=4", resume=tmp_path / "parts")
    # The schedule's end depends on the epochs: a run of two is not the half of one of four.
    run(tmp_path / "again", *OFF, "train.epochs=2")
    run(tmp_path / "again", *OFF, "train.epochs=4", resume=tmp_path / "again")
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "again")
    assert outcome(tmp_path / "parts")["metrics"] != outcome(tmp_path / "whole")["metrics"]


def test_true_is_refused_where_the_data_lie_already(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.resident is true, but device 'cpu' computes in"):
        run(tmp_path / "run", "data.resident=true")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"data\.resident is true, but device 'cpu'"):
        predict_memory(config(tmp_path, "data.resident=true"), "cpu", 9)


def places(path: Path, *overrides: str) -> tuple[list[type], list[str]]:
    """The classes of the three batches, and what was said of them."""
    c, said = config(path, *overrides), list[str]()
    ops = get_ops(c.device)
    model = build_model(c, ops)
    found = sources(c.data.resident, load_data(c), model, build_loss(c), ops, say=said.append)
    return [type(batches) for batches in found], said


@pytest.mark.parametrize("device", ["cpu", "emulator"])
@pytest.mark.parametrize("mode", ["auto", "false"])
def test_where_arrays_are_the_hosts_auto_leaves_them(
    tmp_path: Path, device: str, mode: str
) -> None:
    found, said = places(tmp_path, f"device={device}", f"data.resident={mode}")
    assert (found, said) == ([Loader] * 3, [])


def test_true_brings_all_three_sets(tmp_path: Path) -> None:
    found, said = places(tmp_path, *ON)
    assert (found, said) == ([ResidentBatches] * 3, [])


# 40 images and 8 for the test, of 36 pixels and with a label of 4 bytes each.
SIZE = 48 * (36 + 4)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("spare", [0, -1])
def test_auto_takes_a_quarter_of_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str, spare: int
) -> None:
    """One-hot targets are three float32 each."""
    size = SIZE if loss == "softmax_cross_entropy" else 48 * (36 + 12)
    monkeypatch.setattr(HostMemory, "free_bytes", lambda memory: 4 * size + spare)
    found, said = places(tmp_path, "device=emulator", f"loss={loss}")
    where, classes = ("on emulator", ResidentBatches) if spare == 0 else ("on the host", Loader)
    assert found == [classes] * 3
    assert said == [f"data {where}: {size:,} bytes, with {4 * size + spare:,} free on emulator"]


def test_a_run_says_where_its_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostMemory, "free_bytes", lambda memory: 2**30)
    _, text = run(tmp_path / "run", "device=emulator", "train.epochs=1")
    assert f"data on emulator: {SIZE:,} bytes, with 1,073,741,824 free on emulator" in text


def test_true_takes_all_that_is_free_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostMemory, "free_bytes", lambda memory: SIZE)
    assert places(tmp_path, *ON)[0] == [ResidentBatches] * 3
    monkeypatch.setattr(HostMemory, "free_bytes", lambda memory: SIZE - 1)
    with pytest.raises(
        DeviceError, match=r"resident is true, but the data take 1,920 bytes, and 1,919 are free on"
    ):
        run(tmp_path / "run", *ON)
    assert not (tmp_path / "run").exists()


def test_without_validation_there_is_none(tmp_path: Path) -> None:
    changes = (*ON, "data.validation=0", "train.early_stopping=null")
    c = config(tmp_path, *changes)
    ops = get_ops("emulator")
    found = sources(True, load_data(c), build_model(c, ops), build_loss(c), ops)
    assert found.validation is None
    assert isinstance(found.test, ResidentBatches)


def test_a_profile_is_of_such_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the training's: with its batches made where data.resident has them."""
    seen = []

    def stopped(trainer: Any, *args: Any) -> Any:
        seen.append(type(trainer.batches))
        raise KeyboardInterrupt

    monkeypatch.setattr(gpucnn.build.profile, "predict_training", stopped)
    for mode in (ON, OFF):
        with pytest.raises(KeyboardInterrupt):
            profile(config(tmp_path, *mode), steps=1)
    assert seen == [ResidentBatches, Loader]


def test_the_memory_of_a_step_that_makes_its_batch(tmp_path: Path) -> None:
    """Beside its figures by hand; the plan itself is held against a run below."""
    there = predict_memory(config(tmp_path, *ON), "emulator", 9)
    host = predict_memory(config(tmp_path, *OFF), "emulator", 9)
    assert there.data == SIZE
    assert host.data == 0
    # Indices, a byte that flips and two offsets an image; images and labels. Twice, for the graph.
    assert (there.batch, host.batch) == (2 * 9 * (4 + 1 + 8), 2 * 9 * (36 * 4 + 4))
    assert there.state == host.state
    assert there.activations >= host.activations + 9 * 36 * 4, "the batch is made in the step"
    assert there.peak == sum((there.state, there.data, there.batch, there.activations)) + (
        there.workspaces
    )


def test_the_plan_is_that_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    trainer = gpucnn.build.run.Trainer
    monkeypatch.setattr(
        gpucnn.build.run, "Trainer", lambda *a, **k: made.append(trainer(*a, **k)) or made[-1]
    )
    run(tmp_path / "run", *ON, "train.epochs=2")
    use = predict_memory(config(tmp_path, *ON), "emulator", 9)
    assert use.activations + use.workspaces == made[0].arena.size


@pytest.mark.parametrize(
    ("mode", "device", "data"),
    [("auto", "cuda", SIZE), ("false", "cuda:1", 0), ("auto", "emulator", 0), ("auto", "cpu", 0)],
)
def test_where_check_takes_the_data_to_lie(
    tmp_path: Path, mode: str, device: str, data: int
) -> None:
    assert predict_memory(config(tmp_path, f"data.resident={mode}"), device, 9).data == data


def test_a_set_whose_size_its_files_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A check reads no data; it says what it does not know."""
    c = config(tmp_path)
    text = dump_config(c)
    start, end = text.index("data:"), text.index("model:")
    of_file = text[:start] + "data: {name: npz, path: none.npz}\n" + text[end:]
    for source, printed in ((text, "1.9 KiB data set"), (of_file, "whose size only its files")):
        path = tmp_path / "c.yaml"
        path.write_text(source)
        assert main(["check", str(path), "--device", "cuda"]) == 0
        assert printed in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options"),
    [("digits", {}), ("synthetic", {"samples": 7, "classes": 3}), ("synthetic", {"samples": 90})],
)
def test_counts_of_images_are_those_that_load(name: str, options: dict[str, int]) -> None:
    given = {"classes": 10, **options} if name == "synthetic" else options
    splits = load_dataset(name, **given)
    assert splits.test is not None
    assert image_count(name, **given) == len(splits.train) + len(splits.test)


def test_counts_that_files_decide() -> None:
    assert image_count("npz", path="x.npz") is image_count("image_folder") is None


def test_on_cuda_through_cupy() -> None:
    run_emulated("tests/build_resident_cases.py")
