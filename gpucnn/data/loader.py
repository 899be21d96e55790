"""Batches of a data set, prepared ahead by a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from math import prod
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn import draws
from gpucnn.data.dataset import Dataset, Normalization
from gpucnn.data.transforms import Draws, Transform
from gpucnn.errors import ConfigError
from gpucnn.images import gather_images

PREFETCH = 2
"""Batches that are prepared ahead, unless a loader is told otherwise."""

Made = TypeVar("Made")


class Batch(NamedTuple):
    """images float32 (N, C, H, W) C-contiguous, labels int32 (N,), indices (N,) in the data set."""

    images: NDArray[np.float32]
    labels: NDArray[np.int32]
    indices: NDArray[np.int64]


class Drawn(NamedTuple):
    """What a batch is made of: labels and indices as in a Batch, and what each transform drew."""

    labels: NDArray[np.int32]
    indices: NDArray[np.int64]
    draws: tuple[Draws, ...]


class Loader:
    """Cuts a data set into batches, epoch by epoch.

    The order of an epoch is a function of (seed, epoch), the augmentation of a batch one of
    (seed, epoch, batch): the position (epoch, batch) is all there is to save. A `batch_size` of
    "all" makes the whole data set one batch. `prefetch` batches are prepared ahead by a thread; 0
    prepares each when it is asked for. Without `normalization` pixels stay on the [0, 1] scale.
    ConfigError for an option that is not allowed.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int | Literal["all"],
        normalization: Normalization | None,
        augment: Sequence[Transform] = (),
        shuffle: bool,
        drop_last: bool = False,
        seed: int,
        prefetch: int = PREFETCH,
    ):
        if batch_size == "all":
            batch_size = len(dataset)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(
                f"batch_size must be an integer of at least 1 or 'all', got {batch_size!r}"
            )
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
            raise ConfigError(f"prefetch must be an integer of at least 0, got {prefetch!r}")
        if drop_last and len(dataset) < batch_size:
            raise ConfigError(
                f"drop_last leaves no batch: {len(dataset)} images are fewer than batch_size"
                f" {batch_size}; use a smaller batch_size"
            )
        channels = dataset.image_shape[0]
        if normalization is not None and len(normalization.mean) != channels:
            raise ConfigError(
                f"normalization has {len(normalization.mean)} channels, the images have {channels}"
            )
        for transform in augment:
            transform.check(dataset.image_shape)
        self.dataset = dataset
        self.batch_size = batch_size
        self.normalization = normalization
        self.augment = tuple(augment)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = draws.check_seed(seed)
        self.prefetch = prefetch

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole if self.drop_last or rest == 0 else whole + 1

    @property
    def batch_bytes(self) -> int:
        """Of the images of a whole batch."""
        images = min(self.batch_size, len(self.dataset))
        return images * prod(self.dataset.image_shape) * np.dtype(np.float32).itemsize

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch, from batch `start` on, the same as without it.

        Leaving the loop early (or closing the iterator) ends the thread. An error in the thread
        is raised here. ConfigError for a start outside 0 to len(self).
        """
        return self._each(self._batch, epoch, start)

    def finished(
        self, finish: Callable[[Batch], Made], epoch: int, start: int = 0
    ) -> Generator[Made, None, None]:
        """What `finish` makes of the batches of `epoch`, in the thread that prepares them.

        On leaving early and errors as there.
        """

        def make(order: NDArray[np.int64], epoch: int, number: int) -> Made:
            return finish(self._batch(order, epoch, number))

        return self._each(make, epoch, start)

    def drawn(self, epoch: int, start: int = 0) -> Generator[Drawn, None, None]:
        """What the batches of `epoch` are made of, for a device to make them: no image is touched.

        On leaving early and errors as there.
        """
        return self._each(self._draw, epoch, start)

    def _each(
        self, make: Callable[[NDArray[np.int64], int, int], Made], epoch: int, start: int
    ) -> Generator[Made, None, None]:
        if not 0 <= start <= len(self):
            raise ConfigError(f"start must be a batch from 0 to {len(self)}, got {start}")
        n = len(self.dataset)
        rng = draws.generator(self.seed, "shuffle", epoch)
        order = rng.permutation(n) if self.shuffle else np.arange(n)

        def made(number: int) -> Made:
            return make(order, epoch, number)

        numbers = range(start, len(self))
        if self.prefetch == 0:
            return (made(number) for number in numbers)
        return _ahead(made, numbers, self.prefetch)

    def _draw(self, order: NDArray[np.int64], epoch: int, number: int) -> Drawn:
        indices = order[number * self.batch_size : (number + 1) * self.batch_size]
        drawn: tuple[Draws, ...] = ()
        if self.augment:
            rng = draws.generator(self.seed, "augment", epoch, number)
            shape = self.dataset.image_shape
            drawn = tuple(transform.draw(len(indices), shape, rng) for transform in self.augment)
        return Drawn(self.dataset.labels[indices], indices, drawn)

    def _batch(self, order: NDArray[np.int64], epoch: int, number: int) -> Batch:
        labels, indices, drawn = self._draw(order, epoch, number)
        images = gather_images(self.dataset.images, indices)
        for transform, what in zip(self.augment, drawn, strict=True):
            images = transform.apply(images, what)
        if self.normalization is not None:
            images = self.normalization.apply(images)
        return Batch(images, labels, indices)


def _ahead(make: Callable[[int], Made], numbers: range, depth: int) -> Generator[Made, None, None]:
    """Yield make(number) for each number, up to `depth` of them made ahead by a thread.

    The thread ends with the generator, however that ends: a permit is what it waits for, never a
    full queue, so one more permit after `stop` is enough to let it out.
    """
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    permits = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for number in numbers:
                permits.acquire()
                if stop.is_set():
                    return
                made.put(make(number))
        except BaseException as error:  # whatever it is, the consumer waits and must hear of it
            made.put(error)

    thread = threading.Thread(target=work, name="gpucnn-loader", daemon=True)
    thread.start()
    try:
        for _ in numbers:
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            permits.release()
            yield item
    finally:
        stop.set()
        permits.release()
        thread.join()
