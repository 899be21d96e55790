"""Batches of the host that are copied to the device while it works on those before them."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple, Protocol

from gpucnn.ops.base import Ops
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.staging import Staging
from gpucnn.training.feed import Batch, Batches


class Prepared(Batches, Protocol):
    """What staging needs of a loader."""

    prefetch: int

    @property
    def batch_bytes(self) -> int: ...
    def finished(
        self, finish: Callable[[Any], Any], epoch: int, start: int = 0
    ) -> Generator[Any, None, None]: ...


class StagedBatch(NamedTuple):
    """A batch whose images are on the device, or on their way there; the rest is on the host."""

    images: Any
    labels: Any
    indices: Any


def staged(batches: Prepared, ops: Ops) -> Batches:
    """The same batches, copied ahead where the device can do that beside its other work."""
    launcher = getattr(ops, "launcher", None)
    return StagedBatches(batches, launcher) if isinstance(launcher, CudaLauncher) else batches


class StagedBatches:
    """A loader's batches with their images on the device, until the next but one is asked for.

    As soon as a batch is prepared its copy begins, in the thread that prepared it.
    """

    def __init__(self, batches: Prepared, launcher: CudaLauncher) -> None:
        self._batches, self._launcher = batches, launcher

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[StagedBatch]:
        """The batches of an epoch; to be asked for, and used, in one thread.

        Leaving the loop early ends what is under way.
        """
        # Those prepared ahead, the one in use, and that of the step before, which may turn out not
        # to have been finite: the slot that was left first is the first to be written again.
        slots = min(self._batches.prefetch + 2, len(self))
        with closing(Staging(self._launcher, slots=slots, size=self._batches.batch_bytes)) as ring:

            def finish(batch: Batch) -> StagedBatch:
                return StagedBatch(ring.put(batch.images), batch.labels, batch.indices)

            with closing(self._batches.finished(finish, epoch, start)) as batches:
                for batch in batches:
                    with ring.taken(batch.images) as images:
                        yield batch._replace(images=images)
