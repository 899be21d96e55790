"""Steps as CUDA graphs: the bits of eager steps, and eager steps where no graph can be."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import ConfigError, NonFiniteError
from gpucnn.layers import Layer
from gpucnn.losses import MeanSquaredError
from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from gpucnn.profiling.observe import observe
from gpucnn.profiling.spans import Recorder as Spans
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.schedules import Cosine
from gpucnn.training.callbacks import Callback
from gpucnn.training.checkpoint import Checkpoint
from gpucnn.training.trainer import Settings, Trainer
from tests.conftest import DEVICES
from tests.training import helpers

ROOT = Path(__file__).resolve().parents[2]
OPTIMIZERS: list[Callable[[], Optimizer]] = [
    lambda: Adam(lr=0.02),
    lambda: AdamW(lr=0.02, weight_decay=0.05),
    lambda: SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda: RMSprop(lr=0.01, momentum=0.5),
]

FEWEST = 12
"""Graphs launched in 7 epochs of 3 steps; in the first epochs the arena still plans."""


@pytest.fixture(params=[device for device in DEVICES if device != "cpu"])
def ops(request: pytest.FixtureRequest) -> Ops:
    return gpucnn.get_ops(request.param)


def make(
    ops: Ops,
    mode: bool | str,
    *,
    optimizer: Optimizer | None = None,
    model: Layer | None = None,
    batches: Any = None,
    callbacks: Any = (),
    loss: Any = None,
    say: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> Trainer:
    """A network with draws and buffers, at a rate that changes at every step."""
    return Trainer(
        model or helpers.conv_model(ops),
        loss or gpucnn.losses.SoftmaxCrossEntropy(),
        optimizer or Adam(lr=0.02),
        Cosine(),
        batches or helpers.problem(22, 8),
        ops,
        Settings(**{"epochs": 7, "cuda_graph": mode, **settings}),
        validation=helpers.problem(8, 8, seed=1),
        callbacks=callbacks,
        say=say,
    )


def trained(ops: Ops, mode: bool | str, **options: Any) -> tuple[Trainer, list[Any], Any]:
    """A run's trainer, its weights after each step and records, and its checkpoint."""
    recorder = helpers.Recorder()
    trainer = make(ops, mode, callbacks=[recorder], log_every=1, **options)
    trainer.fit()
    facts = [(r["event"], r["loss"], r["lr"]) for r in recorder.records]
    return trainer, [*recorder.values, *facts], trainer.snapshot()[0]


def assert_same_runs(ops: Ops, options: Callable[[], dict[str, Any]]) -> None:
    """A run by graphs is the run of eager steps."""
    (graphs, ours, our_state), (eager, theirs, their_state) = (
        trained(ops, mode, **options()) for mode in (True, False)
    )
    assert graphs.steps.replays >= FEWEST
    assert eager.steps.replays == 0
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert our_state.keys() == their_state.keys()
    for name, tensor in our_state.items():
        np.testing.assert_array_equal(tensor, their_state[name], err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"clip_norm": 0.5}, {}], ids=str)
def test_a_graph_gives_the_bits_of_eager_steps(
    ops: Ops, optimizer: Callable[[], Optimizer], settings: dict[str, Any]
) -> None:
    """Over 21 steps, the last of each epoch on a smaller batch."""
    assert_same_runs(ops, lambda: {"optimizer": optimizer(), **settings})


def test_targets_that_the_host_makes(ops: Ops) -> None:
    assert_same_runs(ops, lambda: {"loss": MeanSquaredError(reduction="sum")})


def test_in_checked_mode() -> None:
    checked = KernelOps(EmulatorLauncher(checked=True))
    assert_same_runs(checked, lambda: {"ema": 0.9, "clip_norm": 0.5})


def test_shapes_that_change(ops: Ops) -> None:
    """More shapes than graphs are kept for: the oldest are captured anew."""

    class Growing(helpers.ListBatches):
        def epoch(self, epoch: int, start: int = 0) -> Any:
            for size in range(1 + start, 7):
                part = slice(0, size)
                yield helpers.HostBatch(self.images[part], self.labels[part], np.arange(size))

        def __len__(self) -> int:
            return 6

    whole = helpers.problem(8, 8)
    batches = Growing(whole.images, whole.labels, 8)
    graphs, ours, _ = trained(ops, True, batches=batches)
    _, theirs, _ = trained(ops, False, batches=batches)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert graphs.steps.replays > 6


def test_a_new_plan_is_captured_anew(ops: Ops) -> None:
    """A larger batch moves the arena: a graph of the smaller would write where it was."""

    class Sizes(helpers.ListBatches):
        sizes = (2, 2, 2, 2, 8, 2, 2, 2, 2)

        def epoch(self, epoch: int, start: int = 0) -> Any:
            for size in self.sizes:
                yield helpers.HostBatch(self.images[:size], self.labels[:size], np.arange(size))

        def __len__(self) -> int:
            return len(self.sizes)

    class Replayed(Callback):
        def __init__(self) -> None:
            self.after = [0]

        def on_step(self, trainer: Trainer) -> None:
            self.after.append(trainer.steps.replays)

    whole = helpers.problem(8, 8)
    batches = Sizes(whole.images, whole.labels, 8)
    replayed = Replayed()
    make(ops, True, batches=batches, callbacks=[replayed], epochs=1).fit()
    assert [b - a for a, b in pairwise(replayed.after)] == [0, 0, 1, 1, 0, 0, 1, 1, 1]


def test_a_resumed_run_is_the_unbroken_one(ops: Ops) -> None:
    whole = make(ops, True)
    whole.fit()
    first = make(ops, True, max_iterations=12)
    first.total_iterations = whole.total_iterations
    first.fit()
    tensors, counters, times = first.snapshot()
    counters["stop"] = None
    resumed = make(ops, True)
    resumed.restore(Checkpoint(tensors, "", counters, {}, {}, times))
    resumed.fit()
    for name, tensor in whole.snapshot()[0].items():
        np.testing.assert_array_equal(tensor, resumed.snapshot()[0][name], err_msg=name)


def test_a_nan_is_found_named_and_not_taken_in(ops: Ops) -> None:
    """The same message as from an eager step, and the weights of the step before."""
    messages, values = [], []
    for mode in (True, False):
        batches = helpers.problem(16, 8)
        trainer = make(ops, mode, batches=batches, callbacks=[_Spoils(batches, step=9)])
        before = helpers.Recorder()
        trainer.callbacks.append(before)
        with pytest.raises(NonFiniteError) as error:
            trainer.fit()
        messages.append(str(error.value))
        values.append(ops.to_numpy(trainer.optimizer.values))
        np.testing.assert_array_equal(values[-1], before.values[-1])
        assert (trainer.steps.replays > 0) is mode
    assert messages[0] == messages[1]
    assert "step 10, epoch 5, batch 2" in messages[0]
    assert "the input batch itself is not finite" in messages[0]
    np.testing.assert_array_equal(*values)


class _Spoils(Callback):
    """Puts a NaN into the data after a step."""

    def __init__(self, batches: helpers.ListBatches, step: int):
        self._batches, self._step = batches, step

    def on_step(self, trainer: Trainer) -> None:
        if trainer.progress.iteration == self._step:
            self._batches.images[-1, 0, 0, 0] = np.nan


def test_a_step_that_is_watched_is_eager(ops: Ops) -> None:
    """So that every layer and kernel of it is seen; the bits stay."""
    spans = Spans()
    watched = make(ops, True)
    with observe(watched, spans):
        watched.fit()
    assert watched.steps.replays == 0
    assert {span.name for span in spans.spans} >= {"conv2d", "adam_update"}
    alone = make(ops, True)
    alone.fit()
    assert alone.steps.replays > 0
    for name, tensor in alone.snapshot()[0].items():
        np.testing.assert_array_equal(tensor, watched.snapshot()[0][name], err_msg=name)


class _Reads(gpucnn.layers.Flatten):
    """A layer that a graph cannot hold."""

    def _forward(self, x: Any, train: bool) -> Any:
        self.ops.to_numpy(x)
        return super()._forward(x, train)


def reading(ops: Ops) -> Layer:
    model = gpucnn.layers.Sequential(
        [_Reads(name="peeping"), gpucnn.layers.Linear(units=helpers.CLASSES)]
    )
    model.build(helpers.SHAPE, ops, 7)
    return model


def test_auto_goes_on_without_a_graph_and_says_why(ops: Ops) -> None:
    said: list[str] = []
    trainer = make(ops, "auto", model=reading(ops), say=said.append)
    trainer.fit()
    assert trainer.steps.replays == 0
    assert said == [
        "no CUDA graph: model.layers.0 peeping: to_numpy reads on the host, which a CUDA graph"
        " cannot hold"
    ]
    eager = make(ops, False, model=reading(ops))
    eager.fit()
    for name, tensor in eager.snapshot()[0].items():
        np.testing.assert_array_equal(tensor, trainer.snapshot()[0][name], err_msg=name)


def test_true_makes_it_an_error(ops: Ops) -> None:
    with pytest.raises(ConfigError, match=r"cuda_graph is true, but .*peeping: to_numpy reads"):
        make(ops, True, model=reading(ops)).fit()


def test_epsilon_and_a_graph(ops: Ops) -> None:
    with pytest.raises(ConfigError, match=r"cuda_graph is true, but train\.epsilon"):
        make(ops, True, epsilon=1e-3)
    said: list[str] = []
    trainer = make(ops, "auto", epsilon=1e-30, say=said.append)
    trainer.fit()
    assert trainer.steps.replays == 0
    assert len(said) == 1
    assert "train.epsilon" in said[0]


def test_the_cpu_has_no_graphs() -> None:
    cpu = gpucnn.get_ops("cpu")
    with pytest.raises(ConfigError, match="cuda_graph is true, but device 'cpu' has no graphs"):
        make(cpu, True)
    said: list[str] = []
    trainer = make(cpu, "auto", say=said.append)
    trainer.fit()
    assert (trainer.steps.replays, said) == (0, [])


@pytest.mark.slow
def test_graphs_through_cupy() -> None:
    """This file's tests on cuda, with stream capture and kernels emulated."""
    if "cuda" in DEVICES:
        pytest.skip("they run on a GPU, or are run by this very test")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "emulated_cupy")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda", __file__],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
