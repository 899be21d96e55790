"""Exponential moving average of the weights: what is evaluated, beside what is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.layers.base import Layer
from gpucnn.ops.base import Array


class WeightAverage:
    """average = d·average + (1 - d)·values with each update, over an optimizer's flat arena.

    d is min(decay, (1 + t)/(10 + t)) at update t, so that a short run forgets its random start
    (as tf.train.ExponentialMovingAverage with num_updates). Buffers are not averaged: running
    statistics are averages already. The optimizer's own pass over the weights takes them into
    `average` (Optimizer.step).
    """

    def __init__(self, model: Layer, values: Array, decay: float):
        self._values, self._decay = values, decay
        self.average = values.copy()
        trained = {id(p.value) for p in model.parameters() if not p.frozen}
        # Views of the arena, so they show the averages while these are applied.
        self.views = {f"ema.{k}": a for k, a in model.state().items() if id(a) in trained}

    def decay(self, iteration: int) -> float:
        """d at update number `iteration`, counted from 1."""
        return min(self._decay, (1 + iteration) / (10 + iteration))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model computes with the averages; its own weights come back after."""
        own = self._values.copy()
        self._values[...] = self.average
        try:
            yield
        finally:
            self._values[...] = own

    def capture(self) -> None:
        """Make the model's present weights the averages."""
        self.average[...] = self._values
