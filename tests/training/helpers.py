"""A small classification problem, its batches, and models that train on it in milliseconds."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpucnn.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Relu,
    Sequential,
)
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.ops.base import Ops
from gpucnn.optimizers import SGD
from gpucnn.schedules import Constant
from gpucnn.training.callbacks import Callback
from gpucnn.training.trainer import Settings, Trainer

CLASSES = 3
SHAPE = (1, 4, 4)


class HostBatch(NamedTuple):
    images: Any
    labels: Any
    indices: Any


class ListBatches:
    """The images in their order, `size` at a time, the same in every epoch."""

    def __init__(self, images: Any, labels: Any, size: int):
        self.images, self.labels, self.size = images, labels, size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[HostBatch]:
        for number in range(start, len(self)):
            part = slice(number * self.size, (number + 1) * self.size)
            yield HostBatch(self.images[part], self.labels[part], np.arange(len(self.labels))[part])


def problem(count: int, size: int, seed: int = 0) -> ListBatches:
    """`count` noisy images of CLASSES patterns in batches of `size`; the last may be smaller."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).normal(size=(CLASSES, *SHAPE))
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    images = patterns[labels] + rng.normal(size=(count, *SHAPE))
    return ListBatches(images.astype(np.float32), labels, size)


def linear_model(ops: Ops, dtype: str = "float32") -> Sequential:
    """Multinomial logistic regression."""
    model = Sequential([Flatten(), Linear(units=CLASSES)])
    model.build(SHAPE, ops, 7, dtype=dtype)
    return model


def conv_model(ops: Ops) -> Sequential:
    """A network with buffers and with draws by step."""
    model = Sequential(
        [
            Conv2d(filters=4, kernel_size=3, padding=1),
            BatchNorm2d(),
            Relu(),
            MaxPool2d(kernel_size=2),
            Flatten(),
            Dropout(rate=0.3),
            Linear(units=CLASSES),
        ]
    )
    model.build(SHAPE, ops, 7)
    return model


def numpy_state(model: Layer, ops: Ops) -> dict[str, Any]:
    """Copies of the model's arrays by name."""
    return {key: ops.to_numpy(a).copy() for key, a in model.state().items()}


def trainer(
    ops: Ops,
    *,
    model: Layer | None = None,
    batches: Any = None,
    validation: Any = None,
    callbacks: Sequence[Callback] = (),
    lr: float = 0.1,
    momentum: float = 0.0,
    loss: Any = None,
    optimizer: Any = None,
    check: Any = lambda: None,
    **settings: Any,
) -> Trainer:
    """A Trainer of the linear model on 10 images in batches of 4, unless told otherwise."""
    return Trainer(
        model if model is not None else linear_model(ops),
        loss if loss is not None else SoftmaxCrossEntropy(),
        optimizer if optimizer is not None else SGD(lr=lr, momentum=momentum),
        Constant(),
        batches if batches is not None else problem(10, 4),
        ops,
        Settings(**{"epochs": 2, **settings}),
        validation=validation,
        callbacks=callbacks,
        check=check,
    )


class Recorder(Callback):
    """Every hook call and record, and the weights after each update."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.values: list[Any] = []

    def on_start(self, trainer: Trainer) -> None:
        self.calls.append("start")

    def on_step(self, trainer: Trainer) -> None:
        self.calls.append("step")
        self.values.append(trainer.ops.to_numpy(trainer.optimizer.values).copy())

    def on_log(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.calls.append("log")
        self.records.append(record)

    def on_epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.calls.append("epoch")
        self.records.append(record)

    def on_stop(self, trainer: Trainer, reason: str) -> None:
        self.calls.append(f"stop {reason}")

    def epochs(self) -> list[dict[str, Any]]:
        return [r for r in self.records if r["event"] == "epoch"]
