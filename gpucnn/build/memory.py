"""What training a config takes of a device's memory, foretold without the device or the data.

One step of training and one of evaluation run on a dry device, which takes every array that the
real one would take and computes nothing. The arena's plan is the real one, so its size is exact.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gpucnn.build.objects import (
    build_augment,
    build_loss,
    build_model,
    build_optimizer,
    build_schedule,
)
from gpucnn.build.resident import check_resident, resident, target_bytes
from gpucnn.config import Config
from gpucnn.data import PREFETCH, Dataset, Loader, Normalization, image_count
from gpucnn.layers import Layer, skip_input_gradient
from gpucnn.losses import Loss
from gpucnn.ops.base import Ops
from gpucnn.ops.dry import dry_ops
from gpucnn.optimizers import Optimizer
from gpucnn.runtime.arena import Arena, Plan
from gpucnn.training.evaluation import evaluate
from gpucnn.training.feed import Batches, feed_of
from gpucnn.training.trainer import Settings, Trainer


@dataclass(frozen=True)
class MemoryUse:
    """Bytes at the worst moment of training; the peak is their sum."""

    state: int
    """Weights, gradients, the optimizer's state, averages and running statistics."""
    data: int | None
    """The data set, where it lies on the device; None where only its files tell how large it is."""
    batch: int
    """The images of a batch and their labels, or what the device makes them of; a graph reads them
    from a place of its own, and batches that are copied ahead have theirs."""
    activations: int
    """What operations hand on to each other, when that is the most."""
    workspaces: int
    """The rest of the arena: what an operation needs for itself, and gaps."""

    @property
    def peak(self) -> int:
        return self.state + (self.data or 0) + self.batch + self.activations + self.workspaces


def predict_memory(config: Config, device: str, batch_size: int) -> MemoryUse:
    """The memory that training takes on `device`: cpu, emulator, cuda or cuda:N.

    Without the libraries' own: on a GPU the CUDA context and the compiled kernels. There, where
    data.resident is auto, the data set is taken to fit.
    """
    ops = dry_ops(device)
    check_resident(config.data.resident, ops)
    model, loss, train = build_model(config, ops), build_loss(config), config.train
    skip_input_gradient(model)
    on_device = config.data.resident is True
    if config.data.resident == "auto":
        on_device = device.startswith("cuda")
    batches = resident(_loader(config, batch_size), model, loss, ops) if on_device else None
    use = predict(
        model, loss, build_optimizer(config), ops, batch_size,
        schedule=build_schedule(config),
        settings=Settings(
            epochs=1, max_iterations=1, epsilon=train.epsilon, clip_norm=train.clip_norm,
            ema=train.ema, cuda_graph=train.cuda_graph,
        ),
        batches=batches,
    )  # fmt: skip
    if on_device:
        return replace(use, data=_data_bytes(config, model, loss))
    if device.startswith("cuda") and config.data.batch_size != "all":
        ahead = (PREFETCH + 1) * _loader(config, batch_size).batch_bytes
        return replace(use, batch=use.batch + ahead)
    return use


def _loader(config: Config, batch_size: int) -> Loader:
    """A loader as the config's, of one batch; its images take no memory and are not to be read."""
    images = np.broadcast_to(np.zeros((), np.uint8), (batch_size, *config.model.input))
    channels = config.model.input[0]
    return Loader(
        Dataset(images, np.zeros(batch_size, np.int32), ("0",)),
        batch_size=batch_size,
        normalization=Normalization((0.0,) * channels, (1.0,) * channels)
        if config.data.normalize is not False
        else None,
        augment=build_augment(config),
        shuffle=False,
        seed=config.seed,
        prefetch=0,
    )


def _data_bytes(config: Config, model: Layer, loss: Loss) -> int | None:
    """Of the data set as it is published, a byte a pixel."""
    images = image_count(config.data.name, **config.data.options)
    if images is None:
        return None
    return images * prod(config.model.input) + target_bytes(images, model, loss)


class _Batch(NamedTuple):
    images: Any
    labels: Any
    indices: Any


class _OneBatch:
    """An epoch of one batch, whose images take no memory."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        images = np.broadcast_to(np.zeros((), dtype), shape)
        self.batch = _Batch(images, np.zeros(shape[0], np.int32), np.arange(shape[0]))

    def __len__(self) -> int:
        return 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[_Batch]:
        yield self.batch


def predict(
    model: Layer,
    loss: Any,
    optimizer: Optimizer,
    ops: Ops,
    batch_size: int,
    *,
    schedule: Any,
    settings: Settings,
    batches: Batches | None = None,
) -> MemoryUse:
    """The memory of a training, from a step with all of its parts built for `dry_ops`.

    `batches` of that size are the host's, unless they are given.
    """
    if batches is None:
        batches = _OneBatch((batch_size, *model.input_shape), model.dtype)
    trainer = Trainer(model, loss, optimizer, schedule, batches, ops, settings)
    returns = _watch_returns(ops, trainer.arena)
    trainer.fit()
    feed = feed_of(next(iter(batches.epoch(0))), loss, model)
    plan = trainer.arena.plan(feed.key("training"))
    assert plan is not None
    activations = _handed_on(plan, returns)
    evaluate(model, loss, batches, ops, arena=trainer.arena)
    return MemoryUse(
        state=_state(model, optimizer, averaged=settings.ema is not None),
        data=0,
        batch=sum(a.nbytes for a in feed.arrays) * (2 if trainer.steps.captures else 1),
        activations=activations,
        workspaces=trainer.arena.size - activations,
    )


def _watch_returns(ops: Ops, arena: Arena) -> list[int]:
    """How many requests had been made whenever an operation returned, from now on."""
    returns: list[int] = []

    def watched(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            returns.append(arena.requests)
            return result

        return call

    for name, _ in inspect.getmembers(Ops, inspect.isfunction):
        if f"_{name}" in Ops.__abstractmethods__ and name not in ("empty", "zeros"):
            vars(ops)[name] = watched(getattr(ops, name))
    return returns


def _handed_on(plan: Plan, returns: list[int]) -> int:
    """The most bytes at a time of arrays that outlive the operation that asked for them."""
    change, ends = [0] * (len(plan.sizes) + 1), iter(sorted(returns))
    returned = next(ends, len(plan.sizes))
    for i, (size, end) in enumerate(zip(plan.sizes, plan.ends, strict=True)):
        while returned <= i:
            returned = next(ends, len(plan.sizes))
        if end > returned:
            change[i] += size
            change[end] -= size
    return max(accumulate(change))


def _state(model: Layer, optimizer: Optimizer, *, averaged: bool) -> int:
    """Bytes of what stays from step to step, in training or while its averages are applied."""
    flat = int(optimizer.values.nbytes)
    arenas = 2 + len(optimizer.state()) + (optimizer.lr_scale is not None) + 2 * averaged
    fixed = [p.value for p in model.parameters() if p.frozen]
    fixed += [a for layer in model.walk() for a in layer.buffers().values()]
    return flat * arenas + sum(int(a.nbytes) for a in fixed)
