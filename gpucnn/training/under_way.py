"""Steps that the device works on while the host has gone on."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from gpucnn.errors import KernelError
from gpucnn.training.feed import Batch, FedBatch
from gpucnn.training.step import Outcome


class UnderWay:
    """Launched steps whose outcomes the host has not heard; `take_in` hears them, in order."""

    def __init__(self, take_in: Callable[[Batch | FedBatch, Outcome], None]) -> None:
        self._take_in = take_in
        self._steps: deque[_Step] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, batch: Batch | FedBatch, outcome: Callable[[], Outcome]) -> None:
        """A step has been launched on `batch`; `outcome` waits for it."""
        self._steps.append(_Step(batch, outcome))

    def finish(self, but: int = 0) -> None:
        """Wait for all steps except for the last `but`, and take in what became of them."""
        while len(self._steps) > but:
            step = self._steps.popleft()
            self._take_in(step.batch, step.outcome())

    def forget(self) -> None:
        """Let go of the steps that an error has left, once they are over."""
        for step in self._steps:
            with suppress(KernelError):
                step.outcome()
        self._steps.clear()


class _Step(NamedTuple):
    batch: Batch | FedBatch
    outcome: Callable[[], Outcome]
