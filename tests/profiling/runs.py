"""Small training runs to observe, and a clock that counts."""

from typing import Any

from gpucnn.layers import Conv2d, Flatten, Layer, Linear, MaxPool2d, Relu, Residual, Sequential
from gpucnn.ops.base import Ops
from gpucnn.profiling.observe import observe
from gpucnn.profiling.spans import Observer, Recorder, Span
from gpucnn.training.trainer import Trainer
from tests.profiling.timeline import DeviceTime, HostTime, QueueOps
from tests.training.helpers import CLASSES, SHAPE, problem, trainer

BATCH = 6


class Ticks:
    """Each reading is `step` nanoseconds after the last."""

    def __init__(self, step: int = 1000) -> None:
        self.now, self.step = 0, step

    def mark(self) -> int:
        self.now += self.step
        return self.now


def network(ops: Ops, *more: Layer) -> Sequential:
    """A conv2d, a residual around one, a pool, `more` layers and a linear."""
    model = Sequential(
        [
            Conv2d(filters=2, kernel_size=3, padding=1),
            Residual([Conv2d(filters=2, kernel_size=1), Relu()]),
            MaxPool2d(kernel_size=2),
            *more,
            Flatten(),
            Linear(units=CLASSES),
        ]
    )
    model.build(SHAPE, ops, 7)
    return model


def training(ops: Ops, *more: Layer, steps: int = 3, **settings: Any) -> Trainer:
    """A trainer with `steps` steps of BATCH images before it, in one epoch."""
    batches = problem(steps * BATCH, BATCH)
    return trainer(ops, model=network(ops, *more), batches=batches, **{"epochs": 1, **settings})


def observed(run: Trainer, *observers: Observer) -> None:
    with observe(run, *observers):
        run.fit()


def recorded(ops: Ops, *more: Layer, steps: int = 3) -> list[Span]:
    """The spans of a run on the host, under a clock that counts."""
    recorder = Recorder(Ticks())
    observed(training(ops, *more, steps=steps), recorder)
    return recorder.spans


def queued(*more: Layer, steps: int = 3) -> list[Span]:
    """The spans of a run on a device with a queue, in made-up time."""
    ops = QueueOps()
    recorder = Recorder(HostTime(ops.timeline), DeviceTime(ops.timeline))
    observed(training(ops, *more, steps=steps), recorder)
    return recorder.spans
