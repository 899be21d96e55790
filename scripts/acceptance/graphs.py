"""Training steps as CUDA graphs beside eager ones: the same bits, and how long each takes."""

import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import gpucnn
from gpucnn.build.objects import build_loss, build_model, build_optimizer, build_schedule
from gpucnn.config import Config
from gpucnn.ops import Ops
from gpucnn.training.callbacks import Callback
from gpucnn.training.feed import Batches
from gpucnn.training.trainer import Settings, Trainer

EAGER_FIRST = 3
"""Steps until the arena is planned and a step captured."""


class Batch(NamedTuple):
    images: Any
    labels: Any
    indices: Any


class OneBatch:
    """One batch, over and over, as one epoch."""

    def __init__(self, batch: Batch, steps: int):
        self._batch, self._steps = batch, steps

    def __len__(self) -> int:
        return self._steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for _ in range(start, self._steps):
            yield self._batch


class Stopwatch(Callback):
    """When each step was over; a step has ended once its loss has been read."""

    counts_only = True

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step(self, trainer: Trainer) -> None:
        self.ends.append(time.perf_counter())

    @property
    def ms(self) -> float:
        """The median step, of those behind the first."""
        later = self.ends[EAGER_FIRST:]
        return 1e3 * median(b - a for a, b in pairwise(later))


def both_ways(config: Config, device: str, images: Any, labels: Any, steps: int) -> dict[str, Any]:
    """graph_ms and eager_ms of a step, and whether both ways end with the same weights."""
    ops, batch = gpucnn.get_ops(device), Batch(images, labels, range(len(labels)))
    found: dict[str, Any] = {}
    weights = []
    for name, mode in (("graph", True), ("eager", False)):
        watch = Stopwatch()
        trainer = trainer_of(config, ops, OneBatch(batch, EAGER_FIRST + steps), watch, graph=mode)
        trainer.fit()
        found[f"{name}_ms"], found[f"{name}_replays"] = watch.ms, trainer.steps.replays
        weights.append(ops.to_numpy(trainer.optimizer.values).tobytes())
    return {**found, "same_bits": weights[0] == weights[1]}


def trainer_of(
    config: Config, ops: Ops, batches: Batches, watch: Stopwatch, *, graph: bool | str
) -> Trainer:
    """A run of one epoch of the config's network."""
    return Trainer(
        build_model(config, ops), build_loss(config), build_optimizer(config),
        build_schedule(config), batches, ops, Settings(epochs=1, cuda_graph=graph),
        callbacks=[watch],
    )  # fmt: skip
