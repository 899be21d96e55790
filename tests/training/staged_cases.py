"""Training on staged batches, on the emulated CuPy alone: see test_staged.py."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest
from cupy import _streams as streams

import gpucnn.build.inference
import gpucnn.training.staged
from gpucnn.build import load_data
from gpucnn.build.memory import predict_memory
from gpucnn.data import Dataset, Loader, Normalization, RandomShift
from gpucnn.errors import NonFiniteError
from gpucnn.ops.base import Ops
from gpucnn.runtime.staging import Staging
from gpucnn.training.evaluation import evaluate
from gpucnn.training.staged import StagedBatches, staged
from gpucnn.training.trainer import Trainer
from tests.build_runs import config, run
from tests.training import helpers

LATE: dict[str, Callable[[Any], bool]] = {
    "none": lambda stream: False,
    "work": lambda stream: stream is cupy.cuda.Stream.null,
    "copies": lambda stream: stream is not cupy.cuda.Stream.null,
    "both": lambda stream: True,
}


@pytest.fixture
def ops() -> Iterator[Ops]:
    yield gpucnn.get_ops("cuda")
    streams.late = LATE["none"]
    cupy.cuda.Device().synchronize()
    assert [t.name for t in threading.enumerate() if t.name == "gpucnn-loader"] == []


def loader(*, count: int = 22, prefetch: int = 2, pixel: float = 0.0) -> Loader:
    """Batches of 8, the last of an epoch smaller; in each image is one pixel of this value."""
    rng = np.random.default_rng(0)
    images = rng.random((count, *helpers.SHAPE), np.float32)
    images[:, 0, 1, 2] = pixel
    labels = rng.integers(0, helpers.CLASSES, count).astype(np.int32)
    return Loader(
        Dataset(images, labels, ("a", "b", "c")),
        batch_size=8,
        normalization=Normalization((0.5,), (0.25,)),
        augment=[RandomShift(1)],
        shuffle=True,
        seed=1,
        prefetch=prefetch,
    )


def trained(ops: Ops, batches: Any, validation: Any, **settings: Any) -> tuple[Trainer, list[Any]]:
    """A run's trainer, and its weights and figures on the way."""
    recorder = helpers.Recorder()
    trainer = helpers.trainer(
        ops,
        model=helpers.conv_model(ops),
        batches=batches,
        validation=validation,
        callbacks=[recorder],
        **{"epochs": 5, "log_every": 1, **settings},
    )
    trainer.fit()
    facts = [(r["event"], r["loss"], r.get("validation_loss")) for r in recorder.records]
    return trainer, [*recorder.values, *facts, *trainer.snapshot()[0].values()]


def refused(ops: Ops, batches: Any, **settings: Any) -> None:
    with pytest.raises(NonFiniteError, match="the input batch itself is not finite"):
        trained(ops, batches, None, **settings)


def same(ours: list[Any], theirs: list[Any]) -> bool:
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("late", LATE)
def test_the_bits_are_those_of_batches_of_the_host(ops: Ops, late: str, graph: bool) -> None:
    _, theirs = trained(ops, loader(), loader(count=11), cuda_graph=graph)
    streams.late = LATE[late]
    ours = staged(loader(), ops), staged(loader(count=11), ops)
    assert all(isinstance(batches, StagedBatches) for batches in ours)
    trainer, found = trained(ops, *ours, cuda_graph=graph)
    assert (trainer.steps.replays > 6) == graph
    assert same(found, theirs)


@pytest.mark.parametrize("graph", [True, False])
def test_a_step_that_does_not_wait_for_its_batch_is_found(
    ops: Ops, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    """What it trains on then is memory that no copy has reached yet."""
    streams.late = LATE["copies"]
    null = cupy.cuda.Stream.null
    monkeypatch.setattr(null, "wait_event", lambda event: None, raising=False)
    refused(ops, staged(loader(), ops), cuda_graph=graph)


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_any_number_of_batches_ahead(ops: Ops, prefetch: int) -> None:
    _, theirs = trained(ops, loader(), loader(count=11))
    streams.late = LATE["copies"]
    batches = (staged(loader(count=n, prefetch=prefetch), ops) for n in (22, 11))
    assert same(trained(ops, *batches)[1], theirs)


def test_an_epoch_that_is_left_early(ops: Ops) -> None:
    """With batches put and not taken, from which the next epoch must not get any."""
    settings = {"max_iterations": 5}
    _, theirs = trained(ops, loader(), loader(count=11), **settings)
    streams.late = LATE["both"]
    trainer, ours = trained(ops, staged(loader(), ops), staged(loader(count=11), ops), **settings)
    assert trainer.progress.iteration == 5
    assert same(ours, theirs)


def test_an_epoch_can_begin_anywhere(ops: Ops) -> None:
    ours, theirs = staged(loader(), ops), loader()
    assert len(ours) == len(theirs) == 3
    for batch, wanted in zip(ours.epoch(2, start=1), theirs.epoch(2, start=1), strict=True):
        np.testing.assert_array_equal(ops.to_numpy(batch.images), wanted.images)
        np.testing.assert_array_equal(batch.labels, wanted.labels)
        np.testing.assert_array_equal(batch.indices, wanted.indices)


def test_the_images_that_became_nan_are_named(ops: Ops) -> None:
    """The batch is still there when its forward pass is run again."""
    streams.late = LATE["both"]
    refused(ops, staged(loader(pixel=float("nan")), ops))


@pytest.mark.parametrize("batch_size", ["9", "all"])
def test_check_foretells_the_places_of_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: str
) -> None:
    """Elsewhere one batch is on the device beside the graph's own; here it is one of them."""
    c = config(tmp_path, "data.resident=false", f"data.batch_size={batch_size}")
    places: list[int] = []

    class Counted(Staging):
        def __init__(self, launcher: Any, **sizes: int) -> None:
            super().__init__(launcher, **sizes)
            places.extend(slot.memory.nbytes for slot in self._slots)

    monkeypatch.setattr(gpucnn.training.staged, "Staging", Counted)
    for batch in staged(load_data(c).train, gpucnn.get_ops("cuda")).epoch(0):
        assert batch.images.nbytes <= places[0]
    foretold = [predict_memory(c, device, 9).batch for device in ("cuda", "emulator")]
    assert len(places) == (4 if batch_size == "9" else 1)
    assert foretold[0] == foretold[1] - places[0] + sum(places)


def test_evaluation(ops: Ops) -> None:
    model, loss = helpers.conv_model(ops), gpucnn.losses.SoftmaxCrossEntropy()
    theirs = evaluate(model, loss, loader(), ops)
    streams.late = LATE["both"]
    ours = evaluate(model, loss, staged(loader(), ops), ops)
    assert (ours.loss, ours.accuracy) == (theirs.loss, theirs.accuracy)
    np.testing.assert_array_equal(ours.confusion, theirs.confusion)


def test_evaluating_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, _ = run(tmp_path / "run", "device=cuda", "data.resident=false", "train.epochs=1")
    seen: list[object] = []

    def seeing(model: Any, loss: Any, batches: Any, ops: Ops) -> Any:
        seen.append(type(batches))
        return evaluate(model, loss, batches, ops)

    monkeypatch.setattr(gpucnn.build.inference, "evaluate_model", seeing)
    result = gpucnn.build.evaluate(tmp_path / "run")
    assert seen == [StagedBatches]
    assert (result.accuracy, result.loss) == (summary.test_accuracy, summary.test_loss)
