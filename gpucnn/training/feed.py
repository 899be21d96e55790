"""What a step is fed: arrays that change from step to step, and what makes its batch of them."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gpucnn.errors import ShapeError
from gpucnn.layers.base import Layer
from gpucnn.losses import Loss
from gpucnn.ops.base import Array, Ops
from gpucnn.runtime.memory import ALIGNMENT

TOGETHER = 64 * 1024
"""Bytes up to which an array of the host is worth a copy on the host to spare one to the device."""


class Feed(NamedTuple):
    """`make(*arrays)`, given `arrays` on the device, is the batch there: x and the loss's target.

    It asks the device for the same work for all arrays of the same shapes and dtypes.
    """

    arrays: tuple[Any, ...]
    """NumPy's, or the device's own."""
    make: Callable[..., tuple[Array, Array]]

    def key(self, kind: str) -> tuple[Hashable, ...]:
        """What steps of one kind are known by that ask for the same memory."""
        return kind, *((a.shape, a.dtype.str) for a in self.arrays)

    def batch(self, ops: Ops) -> tuple[Array, Array]:
        """x and the target on the device, from the arrays as they are."""
        return self.make(*(ops.asarray(a) for a in self.arrays))


class Batch(Protocol):
    """images (N, C, H, W), of the host or the device; on the host labels int32 (N,) and indices.

    The indices are the images' places in the data set.
    """

    @property
    def images(self) -> Any: ...
    @property
    def labels(self) -> Any: ...
    @property
    def indices(self) -> Any: ...


class FedBatch(NamedTuple):
    """A batch whose images are made on the device; labels and places are there as in a Batch."""

    feed: Feed
    labels: Any
    indices: Any


class Batches(Protocol):
    """What training needs of a loader: batches that depend on (epoch, batch number) alone."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch | FedBatch]: ...


def feed_of(batch: Batch | FedBatch, loss: Loss, model: Layer) -> Feed:
    """What a step on this batch is fed."""
    if isinstance(batch, FedBatch):
        return batch.feed
    target = target_of(loss, batch.labels, model)
    return Feed((batch.images, target), as_it_is)


def as_it_is(x: Array, target: Array) -> tuple[Array, Array]:
    """The batch of a feed that is one already."""
    return x, target


def target_of(loss: Loss, labels: Any, model: Layer) -> Any:
    """What the loss compares the model's outputs with, on the host: a row for each label."""
    if loss.target != "one_hot":
        return labels
    shape = (len(labels), *model.output_shape)
    if len(shape) != 2:
        raise ShapeError(f"the model must give (N, classes), got outputs of shape {shape}")
    target = np.zeros(shape, model.dtype)
    target[np.arange(len(labels)), labels] = 1
    return target


class Places:
    """Memory of the device that stays, for arrays of these shapes and dtypes.

    Small arrays of the host are brought there together, by one copy.
    """

    def __init__(self, ops: Ops, arrays: Sequence[Any]):
        self._memory = ops.memory
        starts, size = [], 0
        for a in arrays:
            starts.append(size if a.nbytes <= TOGETHER else None)
            size += 0 if starts[-1] is None else -(-a.nbytes // ALIGNMENT) * ALIGNMENT
        self._device = ops.zeros((size,), "uint8")
        # A device may read the host's memory later: of the step under way, while the next one's is
        # written.
        self._hosts = deque(np.zeros(size, np.uint8) for _ in range(2))
        self._starts = tuple(starts)
        self.arrays = tuple(
            ops.zeros(a.shape, a.dtype.name) if start is None else _view(self._device, start, a)
            for start, a in zip(starts, arrays, strict=True)
        )

    def write(self, arrays: Sequence[Any]) -> None:
        """Bring `arrays` to their places: NumPy's by copies from the host."""
        self._hosts.rotate()
        host, alone = self._hosts[0], []
        for a, start, place in zip(arrays, self._starts, self.arrays, strict=True):
            if start is not None and isinstance(a, np.ndarray):
                _view(host, start, a)[...] = a
            else:
                alone.append((a, place))
        self._memory.write(self._device, host)
        for a, place in alone:
            if isinstance(a, np.ndarray):
                self._memory.write(place, np.ascontiguousarray(a))
            else:
                self._memory.copy(place, a)


def _view(memory: Any, start: int, like: Any) -> Any:
    return memory[start : start + like.nbytes].view(like.dtype).reshape(like.shape)
