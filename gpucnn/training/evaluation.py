"""Loss and accuracy of a model on a data set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpucnn.errors import NonFiniteError, ShapeError
from gpucnn.layers.base import Layer
from gpucnn.losses import Loss
from gpucnn.ops.base import Array, Ops
from gpucnn.runtime.arena import Arena
from gpucnn.training.diagnosis import batch_name, find_non_finite


class Batch(Protocol):
    """images (N, C, H, W), labels int32 (N,), and their places in the data set, on the host."""

    @property
    def images(self) -> Any: ...
    @property
    def labels(self) -> Any: ...
    @property
    def indices(self) -> Any: ...


class Batches(Protocol):
    """What training needs of a loader: batches that depend on (epoch, batch number) alone."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Evaluation:
    """loss and accuracy are means over the images; confusion[label, prediction] counts them."""

    loss: float
    accuracy: float
    confusion: "np.ndarray[Any, np.dtype[np.int64]]"


def target_of(loss: Loss, labels: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """What the loss compares outputs of `shape` (N, classes) with, on the host."""
    if loss.target != "one_hot":
        return labels
    if len(shape) != 2:
        raise ShapeError(f"the model must give (N, classes), got outputs of shape {shape}")
    target = np.zeros(shape, dtype)
    target[np.arange(len(labels)), labels] = 1
    return target


def summed(loss: Loss, value: float, count: int) -> float:
    """The loss of a batch of `count` images, summed over them."""
    return value * (count if loss.reduction == "mean" else 1)


@np.errstate(all="ignore")  # as in Trainer.fit
def evaluate(
    model: Layer,
    loss: Loss,
    batches: Batches,
    ops: Ops,
    *,
    check: Callable[[], None] = lambda: None,
    arena: Arena | None = None,
) -> Evaluation:
    """Evaluate `model` on all of `batches`, in inference mode; `check` is called after each.

    The batches must cover at least one image. With an `arena`, the batches share its memory.
    Raises NonFiniteError, with the layer named, where the loss is NaN or Inf.
    """
    arena = Arena(ops) if arena is None else arena
    total, confusion = 0.0, np.zeros((0, 0), np.int64)
    for number, batch in enumerate(batches.epoch(0)):
        x = ops.asarray(batch.images)
        with arena.step(("evaluation", x.shape)):
            batch_loss, counts = _evaluate(model, loss, ops, x, batch, number)
        total += batch_loss
        confusion = counts if number == 0 else confusion + counts
        check()
    images = int(confusion.sum())
    return Evaluation(total / images, int(np.trace(confusion)) / images, confusion)


def _evaluate(
    model: Layer, loss: Loss, ops: Ops, x: Array, batch: Batch, number: int
) -> tuple[float, Any]:
    """Loss, summed, and confusion of one batch. No device array made in here outlives it."""
    y = model.forward(x, train=False)
    target = target_of(loss, batch.labels, y.shape, y.dtype.name)
    value, _ = loss(ops, y, ops.asarray(target))
    batch_loss = summed(loss, float(ops.to_numpy(value)), len(batch.labels))
    if not math.isfinite(batch_loss):
        raise NonFiniteError(
            f"evaluation met a loss of {batch_loss} in {batch_name(number, batch.indices)}:"
            f" {find_non_finite(model, ops, x, train=False)}"
        )
    classes = y.shape[1]
    predictions = ops.to_numpy(y).argmax(axis=1)
    counts = np.bincount(batch.labels * classes + predictions, minlength=classes * classes)
    return batch_loss, counts.reshape(classes, classes).astype(np.int64)
