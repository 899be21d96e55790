"""Training in a planned arena: no allocation after the first step, and the bits of an eager run."""

import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from gpucnn.ops import get_ops
from gpucnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from gpucnn.training.evaluation import evaluate
from gpucnn.training.feed import feed_of
from gpucnn.training.trainer import Trainer
from tests.training.helpers import conv_model, problem, trainer
from tests.training.networks import NETWORKS, images, network

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "adam": lambda: Adam(lr=0.01, weight_decay=1e-4),
    "adamw": lambda: AdamW(lr=0.01),
    "rmsprop": lambda: RMSprop(lr=0.01, momentum=0.9, weight_decay=1e-4),
}

SMALL = 160 * 1024
"""What a step on the host may take beside the arena: Python's objects, arrays of a number for each
channel, image or class, and the buffers of 8,192 numbers in which NumPy converts types."""


def everything(name: str, device: str, optimizer: Optimizer, size: int, batch: int) -> Trainer:
    """A trainer with all that may come after the gradient."""
    ops = get_ops(device)
    return trainer(
        ops,
        model=network(name, ops, size),
        batches=images(batch, batch, size),
        optimizer=optimizer,
        epochs=100,
        clip_norm=1.0,
        ema=0.9,
        epsilon=1e-12,
    )


def traced(t: Trainer, steps: int) -> tuple[int, int]:
    """Bytes that `steps` steps take at their worst, and those that are left after them."""
    t.clock.start()
    (batch,) = t.batches.epoch(0)
    for _ in range(2):
        t._step(batch)
    assert t.arena.stable
    tracemalloc.start()
    try:
        for _ in range(steps):
            t._step(batch)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert t.arena.stable
    return peak, left


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_allocation_after_the_first_step(name: str, optimizer: str) -> None:
    t = everything(name, "cpu", OPTIMIZERS[optimizer](), size=28, batch=64)
    peak, left = traced(t, steps=2)
    assert t.arena.size > 50 * SMALL, "this network would not show an array of its own"
    assert peak < SMALL
    assert left < SMALL


def test_no_allocation_after_the_first_step_on_the_emulator() -> None:
    t = everything("residual", "emulator", OPTIMIZERS["sgd"](), size=12, batch=16)
    peak, _ = traced(t, steps=1)
    assert t.arena.size > 4 * SMALL
    assert peak < SMALL


class Eager:
    """An arena that is none: arrays are made as outside of it."""

    def step(self, key: Any) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_the_bits_are_those_of_an_eager_run(device: str) -> None:
    """Three epochs with a short last batch, dropout, batch norm and evaluation in between."""

    def run(planned: bool) -> tuple[list[Any], list[float]]:
        ops = get_ops(device)
        t = trainer(
            ops,
            model=conv_model(ops),
            batches=problem(11, 4),
            validation=problem(7, 3, seed=1),
            optimizer=Adam(lr=0.01),
            epochs=3,
            clip_norm=1.0,
            ema=0.9,
        )
        if not planned:
            vars(t)["arena"] = Eager()
        t.fit()
        final = evaluate(t.model, t.loss, problem(5, 2, seed=2), ops)
        state = [a.copy() for a in t.snapshot()[0].values()]
        return state, [t.progress.best.loss if t.progress.best else 0.0, final.loss]

    eager, planned = run(planned=False), run(planned=True)
    assert planned[1] == eager[1]
    for a, b in zip(planned[0], eager[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_full_and_short_batches_and_evaluation_share_one_block() -> None:
    """After an epoch of each nothing is planned anew, and the arena is not larger than one step."""
    ops = get_ops("cpu")
    batches, validation = images(80, 32), images(48, 32)
    t = trainer(
        ops,
        model=network("lenet", ops),
        batches=batches,
        validation=validation,
        epochs=1,
    )
    t.fit()
    version, size = t.arena.version, t.arena.size
    full = t.arena.plan(feed_of(next(batches.epoch(0)), t.loss, t.model).key("training"))
    assert full is not None
    assert full.size == size
    t.settings = type(t.settings)(epochs=3)
    t.fit()
    assert t.arena.version == version
    assert t.arena.size == size


def test_what_a_callback_keeps_is_never_overwritten() -> None:
    """Weights, averages and a checkpoint's tensors lie outside of the arena."""
    ops = get_ops("cpu")
    t = trainer(ops, model=conv_model(ops), batches=problem(8, 4), epochs=2, ema=0.9)
    t.fit()
    block = t.arena._block[0]
    held = [*t.snapshot()[0].values(), t.optimizer.values, t.optimizer.grads]
    assert not any(np.shares_memory(block, a) for a in held)
