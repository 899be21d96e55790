"""Training on each kind of batches: to the same bits, and how long a step takes with its batch.

host: copied where a step begins; staged: copied ahead; resident: made on the device.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import gpucnn
from acceptance.graphs import EAGER_FIRST, Stopwatch, trainer_of
from gpucnn.build.objects import build_augment, build_loss, build_model
from gpucnn.build.resident import resident
from gpucnn.config import Config
from gpucnn.data import Dataset, Loader, Normalization
from gpucnn.ops import Ops
from gpucnn.training.feed import Batches
from gpucnn.training.staged import staged


def each_feed(config: Config, device: str, batch: int, steps: int) -> dict[str, Any]:
    """host_ms, staged_ms and resident_ms of a step, and whether all end with the same weights."""
    ops, found, weights = gpucnn.get_ops(device), {}, set()
    for name, fed in FEEDS.items():
        watch, loader = Stopwatch(), loader_of(config, batch, EAGER_FIRST + steps)
        trainer = trainer_of(config, ops, fed(loader, config, ops), watch, graph="auto")
        trainer.fit()
        found[f"{name}_ms"] = watch.ms
        weights.add(ops.to_numpy(trainer.optimizer.values).tobytes())
    return {**found, "same_bits_fed": len(weights) == 1}


def loader_of(config: Config, batch: int, steps: int) -> Loader:
    """Random pixels, augmented as the config says, enough for so many steps of one epoch."""
    rng, count = np.random.default_rng(7), batch * steps
    pixels = rng.integers(256, size=(count, *config.model.input), dtype="uint8")
    labels = rng.integers(10, size=count).astype("int32")
    data = Dataset(pixels, labels, tuple("0123456789"))
    return Loader(
        data, batch_size=batch, normalization=Normalization.of(data),
        augment=build_augment(config), shuffle=True, seed=config.seed,
    )  # fmt: skip


def _resident(loader: Loader, config: Config, ops: Ops) -> Batches:
    return resident(loader, build_model(config, ops), build_loss(config), ops)


FEEDS: dict[str, Callable[[Loader, Config, Ops], Batches]] = {
    "host": lambda loader, config, ops: loader,
    "staged": lambda loader, config, ops: staged(loader, ops),
    "resident": _resident,
}
