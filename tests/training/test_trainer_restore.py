"""A trainer restored from a snapshot goes on as if it had never stopped.

Whole runs: tests/test_build_resume.py.
"""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.ops.base import Ops
from gpucnn.optimizers import SGD, Adam, Optimizer, RMSprop
from gpucnn.training.callbacks import EarlyStopping
from gpucnn.training.checkpoint import Checkpoint
from gpucnn.training.interruption import Interrupted
from gpucnn.training.trainer import Trainer
from tests.training.helpers import (
    conv_model,
    numpy_state,
    problem,
    trainer,
)


def snapshot(run: Trainer) -> Checkpoint:
    tensors, counters, times = run.snapshot()
    copies = {k: a.copy() for k, a in tensors.items()}
    return Checkpoint(copies, "", counters, {}, {}, times)


def stop_after(count: int) -> Any:
    calls = iter(range(1, 10**6))

    def check() -> None:
        if next(calls) == count:
            raise Interrupted

    return check


def settings(**changes: Any) -> dict[str, Any]:
    return {"lr": 0.1, "momentum": 0.9, "ema": 0.9, "validation": problem(5, 3, seed=1)} | changes


@pytest.mark.parametrize("kind", [SGD, Adam, RMSprop])
def test_restored_at_any_point_training_ends_the_same(ops: Ops, kind: type[Optimizer]) -> None:
    momentum = {} if kind is Adam else {"momentum": 0.9}

    def new(check: Any = lambda: None) -> Trainer:
        optimizer = kind(lr=0.01, weight_decay=0.01, **momentum)
        return trainer(
            ops,
            model=conv_model(ops),
            optimizer=optimizer,
            check=check,
            **settings(log_every=2, callbacks=[EarlyStopping(9)]),
        )

    whole = new()
    assert whole.fit() == "epochs"
    expected = snapshot(whole)
    # Two epochs of 3 training and 2 validation batches: a check after each.
    for point in range(1, 11):
        first = new(stop_after(point))
        assert first.fit() == "interrupted"
        second = new()
        second.restore(snapshot(first))
        assert second.fit() == "epochs"
        actual = snapshot(second)
        assert actual.counters == expected.counters
        for name, tensor in expected.tensors.items():
            np.testing.assert_array_equal(actual.tensors[name], tensor, err_msg=name)


def damaged(checkpoint: Checkpoint, **counters: Any) -> Checkpoint:
    return Checkpoint(
        checkpoint.tensors, "", checkpoint.counters | counters, {}, {}, checkpoint.times
    )


@pytest.mark.parametrize(
    "counters",
    [
        {"epoch": -1},
        {"epoch": "1"},
        {"epoch": True},
        {"iteration": 1.5},
        {"epoch_loss": float("inf")},
        {"epoch_loss": float("nan")},
        {"log_loss": None},
        {"stop": "epochs"},
        {"stop": ["epsilon"]},
        {"best": {}},
        {"best": {"epoch": 1, "iteration": 1, "loss": "low", "accuracy": 1.0}},
        {"batch": 1, "epoch_images": 0},
        {"batch": 0, "epoch_images": 4},
        {"batch": 7, "epoch_images": 4},
        {"more": 1},
        {"callbacks": None},
        {"callbacks": {"unknown": {}}},
        {"callbacks": {"early_stopping": {"best": "x", "waited": 0}}},
        {"callbacks": {"early_stopping": {"best": 1.0}}},
        {"callbacks": {"early_stopping": 5}},
    ],
)
def test_damaged_counters_change_nothing(ops: Ops, counters: dict[str, Any]) -> None:
    run = trainer(ops, callbacks=[EarlyStopping(3)], validation=problem(4, 4))
    run.fit()
    other = trainer(ops, callbacks=[EarlyStopping(3)], validation=problem(4, 4))
    before = numpy_state(other.model, ops)
    with pytest.raises(CheckpointError):
        other.restore(damaged(snapshot(run), **counters))
    after = numpy_state(other.model, ops)
    assert all((after[key] == before[key]).all() for key in before)
    assert other.progress.iteration == 0


@pytest.mark.parametrize("times", [{}, {"seconds": 1, "training": 1, "log": -1}, None])
def test_damaged_times_are_refused(ops: Ops, times: Any) -> None:
    run = trainer(ops)
    run.fit()
    good = snapshot(run)
    with pytest.raises(CheckpointError, match="times"):
        run.restore(Checkpoint(good.tensors, "", good.counters, {}, {}, times))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"momentum": 0.0}, r"optimizer\.velocity is unknown"),
        ({"ema": None}, r"ema\.1\.bias is unknown"),
    ],
)
def test_a_checkpoint_of_another_setup_is_refused(
    ops: Ops, other: dict[str, Any], message: str
) -> None:
    run = trainer(ops, **settings())
    run.fit()
    with pytest.raises(CheckpointError, match=message):
        trainer(ops, **settings(**other)).restore(snapshot(run))


def test_fewer_epochs_than_done_are_refused(ops: Ops) -> None:
    run = trainer(ops, epochs=3)
    run.fit()
    with pytest.raises(ConfigError, match=r"train\.epochs 2 is less than the 3"):
        trainer(ops, epochs=2).restore(snapshot(run))


@pytest.mark.parametrize("reason", ["max_iterations", "epsilon", "early_stopping"])
def test_a_run_that_has_stopped_stays_stopped(ops: Ops, reason: str) -> None:
    run = trainer(ops, epochs=1)
    run.request_stop(reason)
    checkpoint = snapshot(run)
    more = trainer(ops, epochs=5)
    more.restore(checkpoint)
    assert more.fit() == reason
    assert more.progress.iteration == 0


def test_more_epochs_go_on_from_the_end(ops: Ops) -> None:
    whole, first = trainer(ops, epochs=4), trainer(ops, epochs=2)
    whole.fit()
    first.fit()
    second = trainer(ops, epochs=4)
    second.restore(snapshot(first))
    assert second.fit() == "epochs"
    np.testing.assert_array_equal(
        ops.to_numpy(second.optimizer.values), ops.to_numpy(whole.optimizer.values)
    )
