"""Batches of a data set that lies on the device: made there, by the step itself."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Protocol

import numpy as np

from gpucnn.ops.base import Array, Ops
from gpucnn.training.feed import FedBatch, Feed


class Drawn(Protocol):
    """What a batch is made of: labels and indices (N,), and an array for each augmentation."""

    @property
    def labels(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def draws(self) -> tuple[Any, ...]: ...


class Draws(Protocol):
    """A loader, as far as it touches no image."""

    def __len__(self) -> int: ...
    def drawn(self, epoch: int, start: int = 0) -> Generator[Drawn, None, None]: ...


class Augmentation(Protocol):
    """A method of Ops for images and what was drawn for them, and its keyword arguments."""

    @property
    def method(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...


class ResidentBatches:
    """The batches of a loader, bit for bit, from images and targets that were copied to a device.

    images: uint8 or float32 (N, C, H, W); target: a row for each image, as target_of gives it;
    statistics: mean and std, float32 (C,), or None. `loader` draws for `augment`, in that order.
    A step is given the batch's indices and draws, and does the rest by methods of `ops`.
    """

    def __init__(
        self,
        ops: Ops,
        loader: Draws,
        images: Any,
        target: Any,
        *,
        augment: Sequence[Augmentation] = (),
        statistics: tuple[Any, Any] | None = None,
    ):
        self._ops, self._loader = ops, loader
        self._images, self._target = ops.asarray(images), ops.asarray(target)
        self._augment = [(a.method, a.options) for a in augment]
        self._statistics = statistics and tuple(ops.asarray(a) for a in statistics)

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, epoch: int, start: int = 0) -> Generator[FedBatch, None, None]:
        """The batches of an epoch from `start` on; no image is made before a step asks for it."""
        with closing(self._loader.drawn(epoch, start)) as batches:
            for batch in batches:
                arrays = (batch.indices.astype(np.int32), *batch.draws)
                yield FedBatch(Feed(arrays, self._make), batch.labels, batch.indices)

    def _make(self, indices: Array, *draws: Array) -> tuple[Array, Array]:
        x = self._ops.gather_images(self._images, indices)
        for (method, options), drawn in zip(self._augment, draws, strict=True):
            x = getattr(self._ops, method)(x, drawn, **options)
        if self._statistics is not None:
            x = self._ops.normalize_images(x, *self._statistics)
        return x, self._ops.gather_rows(self._target, indices)
