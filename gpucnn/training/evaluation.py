"""Loss and accuracy of a model on a data set."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn.errors import NonFiniteError
from gpucnn.layers.base import Layer
from gpucnn.losses import Loss
from gpucnn.ops.base import Ops
from gpucnn.runtime.arena import Arena
from gpucnn.training.diagnosis import batch_name, find_non_finite
from gpucnn.training.feed import Batch, Batches, FedBatch, Feed, feed_of


@dataclass(frozen=True)
class Evaluation:
    """loss and accuracy are means over the images; confusion[label, prediction] counts them."""

    loss: float
    accuracy: float
    confusion: "np.ndarray[Any, np.dtype[np.int64]]"


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
        feed = feed_of(batch, loss, model)
        with arena.step(feed.key("evaluation")):
            batch_loss, counts = _evaluate(model, loss, ops, feed, batch, number)
        total += batch_loss
        confusion = counts if number == 0 else confusion + counts
        check()
    images = int(confusion.sum())
    return Evaluation(total / images, int(np.trace(confusion)) / images, confusion)


def _evaluate(
    model: Layer, loss: Loss, ops: Ops, feed: Feed, batch: Batch | FedBatch, number: int
) -> tuple[float, Any]:
    """Loss, summed, and confusion of one batch. No device array made in here outlives it."""
    x, target = feed.batch(ops)
    y = model.forward(x, train=False)
    value, _ = loss(ops, y, target)
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
