"""The loop against training written out in NumPy; stop reasons; what is called when."""

import itertools
import time
from typing import Any

import numpy as np
import pytest

from gpucnn.layers import Sequential
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops.base import Ops
from gpucnn.optimizers import SGD
from gpucnn.schedules import Cosine
from gpucnn.training.callbacks import EarlyStopping
from gpucnn.training.evaluation import evaluate
from gpucnn.training.trainer import Settings, Trainer
from tests.training.helpers import (
    CLASSES,
    ListBatches,
    Recorder,
    conv_model,
    linear_model,
    numpy_state,
    problem,
    trainer,
)

EPS32 = float(np.finfo(np.float32).eps)


def logistic_steps(
    weight: Any, bias: Any, batches: ListBatches, lr: float, epochs: int
) -> tuple[Any, Any, list[float]]:
    """Softmax regression by gradient descent, image by image; the mean loss of each epoch."""
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in batches.epoch(0):
            dw, db = np.zeros_like(weight), np.zeros_like(bias)
            for image, label in zip(batch.images, batch.labels, strict=True):
                x = image.ravel().astype(np.float64)
                z = weight @ x + bias
                p = np.exp(z) / np.exp(z).sum()
                total -= np.log(p[label])
                delta = p - np.eye(CLASSES)[label]
                dw += np.outer(delta, x)
                db += delta
            weight = weight - lr * dw / len(batch.labels)
            bias = bias - lr * db / len(batch.labels)
        losses.append(total / len(batches.labels))
    return weight, bias, losses


def test_equals_gradient_descent_written_out(ops: Ops) -> None:
    batches, recorder = problem(10, 4), Recorder()
    batches.images = batches.images.astype(np.float64)
    model = linear_model(ops, "float64")
    start = numpy_state(model, ops)
    run = trainer(ops, model=model, batches=batches, callbacks=[recorder], lr=0.3, epochs=3)
    assert run.fit() == "epochs"
    weight, bias, losses = logistic_steps(start["1.weight"], start["1.bias"], batches, 0.3, 3)
    state = numpy_state(model, ops)
    # 9 steps of sums over at most 4 images and 16 pixels, values of order 1: far below 1e-12.
    np.testing.assert_allclose(state["1.weight"], weight, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state["1.bias"], bias, rtol=1e-12, atol=1e-13)
    # The last batch has 2 images, so a mean of the batches' means would differ.
    np.testing.assert_allclose([r["loss"] for r in recorder.epochs()], losses, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, MeanSquaredError])
def test_the_epochs_loss_weighs_images_alike(ops: Ops, kind: Any, reduction: str) -> None:
    batches, recorder, loss = problem(10, 4), Recorder(), kind(reduction=reduction)
    model = linear_model(ops)
    whole = ListBatches(batches.images, batches.labels, 10)
    expected = evaluate(model, loss, whole, ops).loss
    trainer(
        ops, model=model, batches=batches, callbacks=[recorder], lr=0, loss=loss, epochs=1
    ).fit()
    # Both are sums of 10 losses in float32.
    assert recorder.epochs()[0]["loss"] == pytest.approx(expected, rel=20 * EPS32)


def test_hooks_come_in_order_and_the_log_counts_updates(ops: Ops) -> None:
    recorder = Recorder()
    trainer(ops, callbacks=[recorder], log_every=2).fit()
    steps = [
        "start",
        "step",
        "step",
        "log",
        "step",
        "epoch",
        "step",
        "log",
        "step",
        "step",
        "log",
        "epoch",
    ]
    assert recorder.calls == [*steps, "stop epochs"]
    where = [(r["event"], r["epoch"], r["iteration"]) for r in recorder.records]
    assert where == [
        ("log", 1, 2),
        ("epoch", 1, 3),
        ("log", 2, 4),
        ("log", 2, 6),
        ("epoch", 2, 6),
    ]
    assert all(r["images_per_second"] > 0 and r["seconds"] > 0 for r in recorder.records)


def test_a_log_is_the_mean_since_the_log_before(ops: Ops) -> None:
    every, second = Recorder(), Recorder()
    trainer(ops, callbacks=[every], log_every=1, epochs=1, batches=problem(12, 4)).fit()
    trainer(ops, callbacks=[second], log_every=2, epochs=1, batches=problem(12, 4)).fit()
    losses = [r["loss"] for r in every.records if r["event"] == "log"]
    assert second.records[0]["loss"] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-12)


def test_images_per_second_counts_training_time_alone(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    recorder = Recorder()
    run = trainer(
        ops, callbacks=[recorder], log_every=2, batches=problem(16, 4), validation=problem(4, 4)
    )
    run.fit()
    # A tick for each step of 4 images; those for records and validation do not count.
    assert [r["images_per_second"] for r in recorder.records] == [4.0] * 6
    assert run.images_per_second == 4.0
    assert run.clock.seconds > run.clock.training == 8


def test_the_schedule_sees_all_iterations_of_the_run(ops: Ops) -> None:
    def rates(**settings: Any) -> list[float]:
        recorder = Recorder()
        Trainer(
            linear_model(ops),
            SoftmaxCrossEntropy(),
            SGD(lr=1.0),
            Cosine(),
            problem(8, 4),
            ops,
            Settings(log_every=1, **settings),
            callbacks=[recorder],
        ).fit()
        return [r["lr"] for r in recorder.records if r["event"] == "log"]

    half_cosine = [(1 + np.cos(np.pi * i / 4)) / 2 for i in range(4)]
    assert rates(epochs=2) == pytest.approx(half_cosine)
    assert rates(epochs=9, max_iterations=4) == pytest.approx(half_cosine)


def test_max_iterations_closes_the_epoch_under_way(ops: Ops) -> None:
    recorder = Recorder()
    run = trainer(ops, callbacks=[recorder], validation=problem(5, 5), epochs=9, max_iterations=5)
    assert run.fit() == "max_iterations"
    last = recorder.records[-1]
    assert (last["event"], last["epoch"], last["iteration"]) == ("epoch", 2, 5)
    assert last["validation_accuracy"] is not None
    assert (run.progress.epoch, run.progress.iteration) == (2, 5)


def test_epsilon_looks_at_the_applied_update(ops: Ops) -> None:
    plain = trainer(ops, epsilon=1e-3, lr=0, epochs=9)
    assert plain.fit() == "epsilon"
    assert plain.progress.iteration == 1

    recorder = Recorder()
    run = trainer(ops, epsilon=0.05, lr=0.1, momentum=0.9, epochs=200, callbacks=[recorder])
    start = numpy_state(run.model, ops)
    before = ops.to_numpy(run.optimizer.values).copy()
    assert start
    assert run.fit() == "epsilon"
    values = [before, *recorder.values]
    changes = [np.abs(b - a).max() for a, b in itertools.pairwise(values)]
    assert all(change >= 0.05 for change in changes[:-1])
    assert changes[-1] < 0.05
    assert len(changes) > 1


def test_an_update_at_epsilon_goes_on(ops: Ops) -> None:
    assert trainer(ops, epsilon=1e-30).fit() == "epochs"


def test_early_stopping_waits_for_patience_epochs(ops: Ops) -> None:
    recorder = Recorder()
    # lr 0: the validation loss never gets lower after the first epoch.
    stopping = EarlyStopping(patience=3)
    run = trainer(ops, lr=0, epochs=20, validation=problem(5, 5), callbacks=[recorder, stopping])
    assert run.fit() == "early_stopping"
    assert run.progress.epoch == 4
    assert recorder.calls[-1] == "stop early_stopping"


@pytest.mark.parametrize(
    ("losses", "min_delta", "stops_after"),
    [
        ([3, 2, 1, 1, 1], 0.0, 5),
        ([3, 2, 2, 1, 2, 2], 0.0, 6),
        ([3, 2.5, 2.1, 1.6], 1.0, 3),
        ([3, 2.5, 1.9, 1.5, 1.1], 1.0, 5),
    ],
)
def test_early_stopping_counts_epochs_without_a_lower_loss(
    ops: Ops, losses: list[float], min_delta: float, stops_after: int
) -> None:
    run, stopping = trainer(ops), EarlyStopping(patience=2, min_delta=min_delta)
    for number, loss in enumerate(losses, 1):
        stopping.on_epoch(run, {"validation_loss": loss})
        # A resumed run counts on from the saved state.
        again = EarlyStopping(patience=2, min_delta=min_delta)
        again.load_state(stopping.state())
        stopping = again
        assert (run.progress.stop is not None) == (number >= stops_after)


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss(ops: Ops) -> None:
    scores = [(0.5, 1.0), (0.5, 0.9), (0.5, 0.95), (0.6, 2.0), (0.6, 2.0), (0.4, 0.1)]

    class Scored(Trainer):
        def _validate(self) -> Any:
            accuracy, loss = scores[self.progress.epoch]
            return type("E", (), {"accuracy": accuracy, "loss": loss})

    recorder = Recorder()
    run = Scored(
        linear_model(ops),
        SoftmaxCrossEntropy(),
        SGD(lr=0.1),
        Cosine(),
        problem(4, 4),
        ops,
        Settings(epochs=6),
        callbacks=[recorder],
    )
    run.fit()
    assert [r["best"] for r in recorder.epochs()] == [True, True, False, True, False, False]
    assert run.progress.best is not None
    assert run.progress.best.epoch == 4


def test_without_validation_there_is_no_best(ops: Ops) -> None:
    recorder = Recorder()
    run = trainer(ops, callbacks=[recorder])
    run.fit()
    assert run.progress.best is None
    assert all(r["validation_loss"] is None and not r["best"] for r in recorder.epochs())


def test_clipping_bounds_the_update(ops: Ops) -> None:
    run, recorder = trainer(ops, clip_norm=0.01, lr=0.5), Recorder()
    run.callbacks = [recorder]
    before = ops.to_numpy(run.optimizer.values).copy()
    run.fit()
    values = [before, *recorder.values]
    for a, b in itertools.pairwise(values):
        # |Δ| = lr·max_norm, as the gradients here are far longer than 0.01.
        norm = np.linalg.norm(b.astype(np.float64) - a)
        assert norm == pytest.approx(0.005, rel=1e-3)


def test_the_average_follows_its_recurrence_and_is_what_is_evaluated(ops: Ops) -> None:
    batches, validation, recorder = problem(12, 4), problem(9, 5, seed=1), Recorder()
    run = trainer(ops, batches=batches, validation=validation, callbacks=[recorder], ema=0.3)
    average = ops.to_numpy(run.optimizer.values).astype(np.float64)
    run.fit()
    for t, values in enumerate(recorder.values, 1):
        decay = min(0.3, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * values
    own = ops.to_numpy(run.optimizer.values)
    np.testing.assert_array_equal(own, recorder.values[-1])
    assert run.average is not None
    with run.average.applied():
        # 6 updates, each of 3 roundings.
        np.testing.assert_allclose(
            ops.to_numpy(run.optimizer.values), average, rtol=18 * EPS32, atol=18 * EPS32
        )
        expected = evaluate(run.model, run.loss, validation, ops)
    assert recorder.epochs()[-1]["validation_loss"] == expected.loss
    assert expected.loss != evaluate(run.model, run.loss, validation, ops).loss
    np.testing.assert_array_equal(ops.to_numpy(run.optimizer.values), own)


def test_layers_that_draw_are_told_the_step(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    monkeypatch.setattr(Sequential, "set_step", lambda self, step: steps.append(step))
    trainer(ops, cuda_graph=False).fit()
    assert steps == list(range(6))


def test_frozen_layers_stay(ops: Ops) -> None:
    model = conv_model(ops)
    for p in model.layers[0].parameters():
        p.frozen = True
    before = numpy_state(model, ops)
    trainer(ops, model=model, ema=0.5).fit()
    after = numpy_state(model, ops)
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert (after["6.weight"] != before["6.weight"]).any()
