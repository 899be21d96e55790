"""Where a config's data lie while they are trained on: on the host, or on the device."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from gpucnn.build.objects import Data
from gpucnn.data import Loader
from gpucnn.errors import ConfigError, DeviceError
from gpucnn.layers import Layer
from gpucnn.losses import Loss
from gpucnn.ops import Ops
from gpucnn.training.feed import Batches, target_of
from gpucnn.training.resident import ResidentBatches
from gpucnn.training.staged import staged

SHARE = 4
"""`auto` takes up to one part in so many of a GPU's free memory; the rest is the network's."""


class Sources(NamedTuple):
    """The batches of training, of validation and of the test at the end."""

    train: Batches
    validation: Batches | None
    test: Batches | None


def sources(
    mode: bool | str,
    data: Data,
    model: Layer,
    loss: Loss,
    ops: Ops,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> Sources:
    """The data's batches for `model`, made where data.resident, `mode`, has them.

    On a GPU "auto" keeps the data there if they take at most a quarter of its free memory, and
    tells it to `say`; elsewhere they stay on the host. From the host a GPU gets its batches ahead.
    Raises ConfigError for true on a device that computes where the data lie, DeviceError where
    they do not fit.
    """
    loaders = data.train, data.validation, data.test
    check_resident(mode, ops)
    free = ops.memory.free_bytes()
    if mode is not False and free is not None:
        size = sum(
            loader.dataset.images.nbytes + target_bytes(len(loader.dataset), model, loss)
            for loader in loaders
            if loader is not None
        )
        if mode is True and size > free:
            raise DeviceError(
                f"data.resident is true, but the data take {size:,} bytes, and {free:,} are free"
                f" on {ops.name}: use auto or false"
            )
        mode = mode is True or SHARE * size <= free
        place = f"on {ops.name}" if mode else "on the host"
        say(f"data {place}: {size:,} bytes, with {free:,} free on {ops.name}")

    def placed(loader: Loader) -> Batches:
        if mode is True:
            return resident(loader, model, loss, ops)
        return staged(loader, ops)

    train, *held_out = loaders
    return Sources(
        placed(train), *(None if loader is None else placed(loader) for loader in held_out)
    )


def check_resident(mode: bool | str, ops: Ops) -> None:
    """ConfigError where data.resident is true on a device that computes where the data lie."""
    if mode is True and getattr(ops, "launcher", None) is None:
        raise ConfigError(
            f"data.resident is true, but device {ops.name!r} computes in the memory that the data"
            " lie in anyway: use auto or false"
        )


def resident(loader: Loader, model: Layer, loss: Loss, ops: Ops) -> ResidentBatches:
    """The loader's batches, made on the device from a copy of its data set."""
    data, normalization = loader.dataset, loader.normalization
    return ResidentBatches(
        ops,
        loader,
        data.images,
        target_of(loss, data.labels, model),
        augment=loader.augment,
        statistics=None if normalization is None else normalization.arrays(),
    )


def target_bytes(count: int, model: Layer, loss: Loss) -> int:
    """Bytes of the targets of so many images."""
    if loss.target == "one_hot":
        return count * prod(model.output_shape) * np.dtype(model.dtype).itemsize
    return count * np.dtype(np.int32).itemsize
