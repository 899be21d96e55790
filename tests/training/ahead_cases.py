"""The host ahead of the device: on the emulator, and on the emulated CuPy (see test_ahead.py)."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.data import Dataset, Loader
from gpucnn.errors import NonFiniteError
from gpucnn.losses import MeanSquaredError
from gpucnn.ops.base import Ops
from gpucnn.training.callbacks import Callback, Record
from gpucnn.training.checkpoint import Checkpoint
from gpucnn.training.interruption import Interrupted
from gpucnn.training.staged import staged
from gpucnn.training.trainer import Trainer
from tests.conftest import DEVICES
from tests.training import helpers

try:
    from cupy import _streams as streams  # the emulated one's
except ImportError:
    streams = None

STEPS = 21
"""7 epochs of 3."""


@pytest.fixture
def ops() -> Iterator[Ops]:
    """The emulated GPU where there is one, on which all work is done as late as it can be."""
    if streams is None:
        yield gpucnn.get_ops("cuda" if "cuda" in DEVICES else "emulator")
        return
    ops = gpucnn.get_ops("cuda")
    streams.late = lambda stream: True
    yield ops
    streams.late = lambda stream: False
    ops.synchronize()


class Ahead(Callback):
    """How many steps the device had been given, beyond those that were accounted for."""

    counts_only = True

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.logs: list[int] = []
        self.epochs: list[int] = []
        self.records: list[Any] = []

    def on_step(self, trainer: Trainer) -> None:
        self.steps.append(lead(trainer))

    def on_log(self, trainer: Trainer, record: Record) -> None:
        self.logs.append(lead(trainer))
        self.records.append((record["iteration"], record["loss"], record["lr"]))

    def on_epoch(self, trainer: Trainer, record: Record) -> None:
        self.epochs.append(lead(trainer))
        self.records.append((record["iteration"], record["loss"], record["validation_loss"]))


class Looks(Callback):
    """May look at the weights."""

    def on_step(self, trainer: Trainer) -> None:
        assert lead(trainer) == 0


def lead(trainer: Trainer) -> int:
    return trainer.optimizer.iterations - trainer.progress.iteration


def make(ops: Ops, graph: bool, *callbacks: Callback, **options: Any) -> Trainer:
    options = {"batches": helpers.problem(22, 8), "epochs": 7, "log_every": 5, **options}
    return helpers.trainer(
        ops,
        model=helpers.conv_model(ops),
        validation=helpers.problem(8, 8, seed=1),
        callbacks=callbacks,
        cuda_graph=graph,
        **options,
    )


def assert_same_state(a: Trainer, b: Trainer) -> None:
    for name, tensor in a.snapshot()[0].items():
        np.testing.assert_array_equal(tensor, b.snapshot()[0][name], err_msg=name)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"momentum": 0.9}], ids=str)
def test_the_run_is_that_of_a_host_that_waits(ops: Ops, settings: dict[str, Any]) -> None:
    eager, graph = Ahead(), Ahead()
    theirs, ours = make(ops, False, eager, **settings), make(ops, True, graph, **settings)
    theirs.fit()
    ours.fit()
    assert ours.steps.replays > 6
    assert set(eager.steps) == {0}
    assert sum(graph.steps) >= ours.steps.replays // 2
    assert set(graph.steps) == {0, 1}
    assert ours.progress == theirs.progress
    assert ours.progress.iteration == STEPS
    assert graph.records == eager.records
    assert_same_state(ours, theirs)


@pytest.mark.skipif(streams is None, reason="only the emulated CuPy reads the host late")
def test_memory_of_the_host_that_is_read_late(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step is fed is not written over before the step has read it."""
    from cupy import _array

    theirs = make(ops, True)
    theirs.fit()
    monkeypatch.setattr(_array, "reads_host_late", True)
    ours = make(ops, True)
    ours.fit()
    assert ours.steps.replays > 6
    assert_same_state(ours, theirs)


def test_whoever_may_look_at_the_weights_sees_those_of_the_step(ops: Ops) -> None:
    """In a log's and an epoch's hooks all do."""
    ahead = Ahead()
    trainer = make(ops, True, ahead)
    trainer.fit()
    assert sum(ahead.steps) > 0
    assert set(ahead.logs) == set(ahead.epochs) == {0}
    looks, ahead = Looks(), Ahead()
    trainer = make(ops, True, looks, ahead)
    trainer.fit()
    assert trainer.steps.replays > 6
    assert set(ahead.steps) == {0}


@pytest.mark.parametrize("last", [13, 14, 15])
def test_no_step_beyond_the_last(ops: Ops, last: int) -> None:
    theirs, ours = (make(ops, graph, max_iterations=last) for graph in (False, True))
    theirs.fit()
    assert ours.fit() == "max_iterations"
    assert ours.progress.iteration == ours.optimizer.iterations == last
    assert_same_state(ours, theirs)


class InterruptedLater:
    """What a signal does: the check after a number of steps raises."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted


@pytest.mark.parametrize("checks", [14, 17, 18, 19])
def test_an_interrupted_run_is_whole_and_goes_on(ops: Ops, checks: int) -> None:
    broken = make(ops, True, check=InterruptedLater(checks))
    assert broken.fit() == "interrupted"
    assert 0 < broken.progress.iteration == broken.optimizer.iterations < STEPS
    whole, resumed = make(ops, True), make(ops, True)
    whole.fit()
    tensors, counters, times = broken.snapshot()
    resumed.restore(Checkpoint(tensors, "", counters, {}, {}, times))
    resumed.fit()
    assert_same_state(whole, resumed)


class Spoilt(helpers.ListBatches):
    """One batch of the run is NaN, and those after it are not."""

    def __init__(self, spoilt: int, make_nan: Callable[[Any], Any]) -> None:
        whole = helpers.problem(22, 8)
        super().__init__(whole.images, whole.labels, whole.size)
        self._spoilt, self._make_nan = spoilt, make_nan

    def epoch(self, epoch: int, start: int = 0) -> Iterator[helpers.HostBatch]:
        for number, batch in enumerate(super().epoch(epoch, start), start):
            if 3 * epoch + number == self._spoilt:
                batch = batch._replace(images=self._make_nan(batch.images))
            yield batch


def one_nan(images: Any) -> Any:
    spoilt = images.copy()
    spoilt[-1, 0, 0, 0] = np.nan
    return spoilt


@pytest.mark.parametrize("make_nan", [one_nan, lambda images: images * np.float32(3e38)])
@pytest.mark.parametrize("spoilt", [12, 15, 16])
def test_no_update_follows_a_step_that_is_not_finite(
    ops: Ops, spoilt: int, make_nan: Callable[[Any], Any]
) -> None:
    """The step behind it had been launched; the message names the batch all the same."""
    messages, runs = [], []
    for graph in (False, True):
        ahead = Ahead()
        trainer = make(ops, graph, ahead, batches=Spoilt(spoilt, make_nan))
        with pytest.raises(NonFiniteError) as error:
            trainer.fit()
        assert trainer.progress.iteration == spoilt
        messages.append(str(error.value))
        runs.append((ops.to_numpy(trainer.optimizer.values), ahead))
    assert messages[0] == messages[1]
    assert f"step {spoilt + 1}, epoch {spoilt // 3 + 1}, batch {spoilt % 3 + 1}" in messages[0]
    assert sum(runs[1][1].steps) > 0
    np.testing.assert_array_equal(runs[0][0], runs[1][0])


def test_a_trainer_can_go_on_after_a_step_that_was_not_finite(ops: Ops) -> None:
    batches = Spoilt(15, one_nan)
    trainer = helpers.trainer(ops, batches=batches, epochs=7, cuda_graph=True)
    with pytest.raises(NonFiniteError):
        trainer.fit()
    assert trainer.steps.replays > 6
    before = ops.to_numpy(trainer.optimizer.values).copy()
    batches._spoilt = -1
    assert trainer.fit() == "epochs"
    assert trainer.progress.iteration == STEPS
    assert not np.array_equal(before, ops.to_numpy(trainer.optimizer.values))


def test_gradients_that_overflowed_are_named(ops: Ops) -> None:
    """Though those of the step behind have taken their place."""
    messages = []
    for graph in (False, True):
        batches = Spoilt(15, lambda images: images * np.float32(1e25))
        trainer = helpers.trainer(
            ops, loss=MeanSquaredError(), lr=1e-3, batches=batches, epochs=7, cuda_graph=graph
        )
        with pytest.raises(NonFiniteError) as error:
            trainer.fit()
        assert (trainer.steps.replays > 6) is graph
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "all outputs are finite, the gradient of" in messages[0]


class Slowly:
    """Batches whose user leaves the loader's thread the time to go as far ahead as it may."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in self._batches.epoch(epoch, start):
            time.sleep(0.02)
            yield batch


def test_a_batch_on_the_device_is_still_there_when_it_is_asked_about(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where batches are copied ahead: while the next one is in use and more have come."""
    if streams is not None:
        monkeypatch.setattr(streams, "late", lambda stream: False)
    images = helpers.problem(40, 8).images
    images[12] = np.nan
    loader = Loader(
        Dataset(images, np.zeros(40, np.int32), ("a", "b", "c")),
        batch_size=8, normalization=None, shuffle=False, seed=0,
    )  # fmt: skip
    messages = []
    for batches in (loader, Slowly(staged(loader, ops))):
        trainer = make(ops, True, batches=batches, epochs=3, log_every=50)
        trainer.progress.batch = 2  # the spoilt one comes in the second epoch, as a graph
        with pytest.raises(NonFiniteError) as error:
            trainer.fit()
        assert trainer.steps.replays > 0
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "the input batch itself is not finite" in messages[0]
