"""benchmarks/time_to_accuracy.py: whose seconds count, and what is made of them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import gpucnn
from gpucnn.build.objects import load_data
from gpucnn.config import load_config
from gpucnn.training import progress
from gpucnn.training.trainer import Settings
from tests.benchmarks.processes import run
from tests.script_modules import load_script

CONFIG = """
data: {name: synthetic, samples: 42, image: [1, 8, 8], batch_size: 16, validation: 0}
model:
  input: [1, 8, 8]
  layers:
    - conv2d: {filters: 4, kernel_size: 3, padding: 1}
    - batch_norm2d
    - relu
    - max_pool2d: {kernel_size: 2}
    - flatten
    - linear: {units: 10}
optimizer: {adam: {lr: 0.02}}
schedule: one_cycle
train: {epochs: 3}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(CONFIG)
    return file


def test_the_clock_stands_still_while_the_test_set_is_evaluated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time_to_accuracy

    class Time:
        now = 0.0

        @classmethod
        def perf_counter(cls) -> float:
            return cls.now

    evaluate = time_to_accuracy.evaluate

    def slow(*parts: Any) -> Any:
        Time.now += 1000
        return evaluate(*parts)

    class Batches:
        def __init__(self, loader: Any):
            self.dataset, self._loader = loader.dataset, loader

        def __len__(self) -> int:
            return len(self._loader)

        def epoch(self, epoch: int, start: int = 0) -> Any:
            for batch in self._loader.epoch(epoch, start):
                Time.now += 1  # for each batch of 3 an epoch
                yield batch

    monkeypatch.setattr(progress, "time", Time)
    monkeypatch.setattr(time_to_accuracy, "evaluate", slow)
    config, ops = load_config(path), gpucnn.get_ops("cpu")
    data = load_data(config)
    curve = time_to_accuracy.Curve(data.test)
    batches = Batches(data.train)
    time_to_accuracy.trainer(config, ops, data, Settings(3), [curve], batches=batches).fit()
    assert [(p["epoch"], p["seconds"]) for p in curve.points] == [(1, 3), (2, 6), (3, 9)]
    assert all(0 <= p["accuracy"] <= 1 for p in curve.points)


@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_looking_at_the_test_set_changes_nothing(path: Path, device: str) -> None:
    from time_to_accuracy import Curve, trainer

    config, ops = load_config(path), gpucnn.get_ops(device)
    data = load_data(config)
    plain = trainer(config, ops, data, Settings(3, ema=0.9))
    watched = trainer(config, ops, data, Settings(3, ema=0.9), [Curve(data.test)])
    for each in (plain, watched):
        each.fit()
    bits = [ops.to_numpy(each.optimizer.values).tobytes() for each in (plain, watched)]
    assert bits[0] == bits[1]
    # The plan of the steps, and with it their graph, is the one without the evaluations.
    assert plain.arena.version == watched.arena.version
    assert plain.steps.replays == watched.steps.replays
    assert (watched.steps.replays > 0) == (device == "emulator")


def test_times_are_those_of_the_first_epoch_that_came_so_far() -> None:
    from time_to_accuracy import point, reached

    first = [point(1, 2.0, 0.97), point(2, 4.0, 0.991), point(3, 6.0, 0.989)]
    second = [point(1, 3.0, 0.98), point(2, 5.0, 0.985), point(3, 7.0, 0.99)]
    found = reached([first, second])
    assert found["98 %"] == {"seconds": [4.0, 3.0], "median_seconds": 3.5}
    assert found["99 %"] == {"seconds": [4.0, 7.0], "median_seconds": 5.5}
    assert found["99.5 %"] == {"seconds": [None, None], "median_seconds": None}


def test_what_pytorch_does_not_do_is_measured_alone(path: Path) -> None:
    from time_to_accuracy import why_alone

    assert why_alone(load_config(path)) is None
    changes = ["data.augment=[{random_shift: {pixels: 1}}]", "train.ema=0.9"]
    assert why_alone(load_config(path, overrides=changes)) == "data.augment, ema"


def test_on_a_gpu_and_in_the_readme(path: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    chosen = (str(path), "--device", "cuda", "--seeds", "5", "--against", "none", "--record")
    done = run("time_to_accuracy", results, *chosen)
    assert done.returncode == 0, done.stderr
    assert "tiny, gpucnn, to 98 %: " in done.stdout

    script = load_script("update_tables")
    script.RESULTS = results
    gpus = script.gpu_figures()
    figures = gpus["Emulated GPU"]["time_to_accuracy tiny"]["figures"]
    (curve,) = figures["runs"]["gpucnn"]["curves"]
    assert [p["epoch"] for p in curve] == [1, 2, 3]
    assert script.figures() == {}
    table = "\n".join(script.accuracy_table({}, gpus))
    assert table.startswith("| config | on | by | 98 % | 99 % | 99.5 % |\n" + 6 * "|---" + "|\n")
    assert "| tiny | Emulated GPU | gpucnn | " in table


def test_pytorch_beside_from_the_same_weights(path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    from time_to_accuracy import measure

    figures = measure(path, gpucnn.get_ops("cpu"), torch, [0])
    assert list(figures["runs"]) == ["gpucnn", "torch_eager"]
    for run_ in figures["runs"].values():
        (curve,) = run_["curves"]
        assert [p["epoch"] for p in curve] == [1, 2, 3]
        assert all(a["seconds"] < b["seconds"] for a, b in pairwise(curve))
