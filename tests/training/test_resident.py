"""A data set on the device: the bits of the host's batches, made inside of the step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.build.resident import resident
from gpucnn.data import (
    Cutout,
    Dataset,
    HorizontalFlip,
    Loader,
    Normalization,
    RandomShift,
    Rotation,
)
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Layer
from gpucnn.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.optimizers import Adam
from gpucnn.profiling.observe import observe
from gpucnn.profiling.spans import Recorder as Spans
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.schedules import Cosine
from gpucnn.training.evaluation import evaluate
from gpucnn.training.feed import feed_of
from gpucnn.training.trainer import Settings, Trainer
from tests.conftest import DEVICES
from tests.emulated import run_emulated
from tests.training import helpers

AUGMENT = [RandomShift(1), Rotation(25.0), Cutout(2), HorizontalFlip()]
NORMALIZATION = Normalization((0.4,), (0.3,))


@pytest.fixture(params=[device for device in DEVICES if device != "cpu"])
def ops(request: pytest.FixtureRequest) -> Ops:
    return gpucnn.get_ops(request.param)


def dataset(count: int = 22, dtype: str = "uint8", seed: int = 0) -> Dataset:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *helpers.SHAPE)).astype(np.uint8)
    images = pixels if dtype == "uint8" else pixels.astype(np.float32) / np.float32(300)
    labels = (np.arange(count) % helpers.CLASSES).astype(np.int32)
    return Dataset(images, labels, tuple("abc"))


def loader(data: Dataset, **changed: Any) -> Loader:
    options = {
        "batch_size": 8, "normalization": NORMALIZATION, "augment": AUGMENT, "shuffle": True,
        "seed": 5,
    }  # fmt: skip
    return Loader(data, **(options | changed))


def plain(data: Dataset) -> Loader:
    """As a validation set is read."""
    return loader(data, augment=[], shuffle=False)


def make(
    ops: Ops,
    place: Callable[[Loader, Layer, Loss, Ops], Any],
    *,
    graph: bool = False,
    loss: Loss | None = None,
    data: Dataset | None = None,
    callbacks: Any = (),
) -> Trainer:
    """A network with draws and buffers, on batches of 8, 8 and 6 images and others to validate."""
    model, loss = helpers.conv_model(ops), loss or SoftmaxCrossEntropy()
    return Trainer(
        model,
        loss,
        Adam(lr=0.02),
        Cosine(),
        place(loader(data or dataset()), model, loss, ops),
        ops,
        Settings(epochs=5, cuda_graph=graph, ema=0.9),
        validation=place(plain(dataset(11, seed=1)), model, loss, ops),
        callbacks=callbacks,
    )


def host(batches: Loader, model: Layer, loss: Loss, ops: Ops) -> Loader:
    return batches


def trained(ops: Ops, place: Any, **options: Any) -> tuple[Trainer, list[Any]]:
    """A trainer behind its run, and all that the run came to: weights step by step, losses."""
    recorder = helpers.Recorder()
    trainer = make(ops, place, callbacks=[recorder], **options)
    trainer.fit()
    facts = [(r["loss"], r["validation_loss"], r["best"]) for r in recorder.epochs()]
    return trainer, [*(a.tobytes() for a in recorder.values), *facts]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=lambda loss: type(loss).__name__
)
@pytest.mark.parametrize("normalization", [NORMALIZATION, None], ids=["normalized", "not"])
def test_batches_have_the_bits_of_the_loaders(
    ops: Ops, dtype: str, loss: Loss, normalization: Normalization | None
) -> None:
    model = helpers.linear_model(ops)
    of = loader(dataset(dtype=dtype), normalization=normalization)
    there = resident(of, model, loss, ops)
    assert len(there) == len(of)
    for epoch, start in ((0, 0), (3, 1)):
        ours, theirs = list(there.epoch(epoch, start)), list(of.epoch(epoch, start))
        assert len(ours) == len(theirs) == 3 - start
        for a, b in zip(ours, theirs, strict=True):
            for mine, other in zip(
                feed_of(a, loss, model).batch(ops), feed_of(b, loss, model).batch(ops), strict=True
            ):
                mine, other = ops.to_numpy(mine), ops.to_numpy(other)
                assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
                assert mine.tobytes() == other.tobytes()
            np.testing.assert_array_equal(a.labels, b.labels)
            np.testing.assert_array_equal(a.indices, b.indices)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=lambda loss: type(loss).__name__
)
def test_a_run_has_the_bits_of_a_run_on_the_hosts_batches(
    ops: Ops, graph: bool, loss: Loss
) -> None:
    there, ours = trained(ops, resident, graph=graph, loss=loss)
    _, theirs = trained(ops, host, loss=loss)
    assert ours == theirs
    assert (there.steps.replays > 0) is graph


def test_in_checked_mode() -> None:
    checked = KernelOps(EmulatorLauncher(checked=True))
    assert trained(checked, resident, graph=True)[1] == trained(checked, host)[1]


def test_no_image_is_made_on_the_host(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*args: Any) -> Any:
        raise AssertionError("the host made a batch of images")

    monkeypatch.setattr(Loader, "_batch", made)
    trained(ops, resident, graph=True)
    with pytest.raises(AssertionError, match="the host made"):
        trained(ops, host)


def test_a_graphs_step_is_fed_by_one_copy(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its addresses stay: nothing is planned or captured anew."""
    trainer = make(ops, resident, graph=True)
    trainer.fit()
    version, replays, sizes, captures = trainer.arena.version, trainer.steps.replays, [], []
    write, capture = ops.memory.write, ops.launcher.capture

    def counted(target: Any, host: Any) -> None:
        sizes.append(host.nbytes)
        write(target, host)

    monkeypatch.setattr(ops.memory, "write", counted)
    monkeypatch.setattr(ops.launcher, "capture", lambda work: captures.append(1) or capture(work))
    trainer.settings = Settings(epochs=7, cuda_graph=True, ema=0.9)
    trainer.fit()
    assert trainer.steps.replays == replays + 6
    assert (trainer.arena.version, captures) == (version, [])
    # Indices, four draws, and the step's three numbers or rows of them.
    assert sizes == [8 * 256] * 6


def test_sets_of_one_size_are_not_mixed_up(ops: Ops) -> None:
    """A graph reads the very set that it was captured for."""

    def run(graph: bool) -> tuple[int, bytes]:
        trainer = make(ops, resident, graph=graph)
        model, loss = trainer.model, trainer.loss
        sets = [resident(loader(dataset(24, seed=s)), model, loss, ops) for s in (7, 8)]

        class Alternating:
            def __len__(self) -> int:
                return 3

            def epoch(self, epoch: int, start: int = 0) -> Any:
                return sets[epoch % 2].epoch(epoch, start)

        trainer.batches = Alternating()
        trainer.settings = Settings(epochs=8, cuda_graph=graph)
        trainer.fit()
        return trainer.steps.replays, ops.to_numpy(trainer.optimizer.values).tobytes()

    graphs, eager = run(True), run(False)
    assert graphs[0] >= 12
    assert graphs[1] == eager[1]


def test_an_evaluation_is_that_of_the_hosts_batches(ops: Ops) -> None:
    model, loss, data = helpers.conv_model(ops), SoftmaxCrossEntropy(), plain(dataset(19))
    ours = evaluate(model, loss, resident(data, model, loss, ops), ops)
    theirs = evaluate(model, loss, data, ops)
    assert (ours.loss, ours.accuracy) == (theirs.loss, theirs.accuracy)
    np.testing.assert_array_equal(ours.confusion, theirs.confusion)


@pytest.mark.parametrize("graph", [False, True])
def test_a_nan_in_the_data_is_found_where_it_lies(ops: Ops, graph: bool) -> None:
    def poisoned() -> Dataset:
        data = dataset(dtype="float32")
        data.images[13, 0, 2, 2] = np.nan
        return data

    messages = []
    for place in (resident, host):
        with pytest.raises(NonFiniteError) as caught:
            make(ops, place, graph=graph, data=poisoned()).fit()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "the input batch itself is not finite" in messages[0]
    assert "13" in messages[0]


def test_a_nan_in_an_evaluation(ops: Ops) -> None:
    model, loss, data = helpers.conv_model(ops), SoftmaxCrossEntropy(), dataset(9, "float32")
    data.images[8] = np.inf
    with pytest.raises(NonFiniteError, match=r"in batch 2 \(images 8\): the input batch itself"):
        evaluate(model, loss, resident(plain(data), model, loss, ops), ops)


def test_an_observed_step_shows_how_its_batch_is_made(ops: Ops) -> None:
    spans, trainer = Spans(), make(ops, resident)
    with observe(trainer, spans):
        trainer.fit()
    first = [s for s in spans.spans if s.step == 1 and (s.kind, s.phase) == ("method", "data")]
    made = [s.name for s in first if s.name != "asarray"]
    assert made == [
        "gather_images", "shift_images", "rotate_images", "cut_out_images", "flip_images",
        "normalize_images", "gather_rows",
    ]  # fmt: skip


def test_leaving_an_epoch_ends_the_loader(ops: Ops) -> None:
    ended = []

    class Draws:
        def __len__(self) -> int:
            return 3

        def drawn(self, epoch: int, start: int = 0) -> Any:
            try:
                yield from loader(dataset()).drawn(epoch, start)
            finally:
                ended.append(epoch)

    data = dataset()
    batches = gpucnn.training.resident.ResidentBatches(ops, Draws(), data.images, data.labels)
    epoch = batches.epoch(4)
    next(epoch)
    epoch.close()
    assert ended == [4]


@pytest.mark.slow
def test_through_cupy() -> None:
    """This file's tests on cuda, with stream capture and kernels emulated."""
    if "cuda" in DEVICES:
        pytest.skip("they run on a GPU, or are run by this very test")
    run_emulated(__file__, "-k", "cuda")
