"""Exponential moving average of the weights: what is evaluated, beside what is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.layers.base import Layer
from gpucnn.ops.base import Array, Ops


class WeightAverage:
    """average = d·average + (1 - d)·values after each update, over an optimizer's flat arena.

    d is min(decay, (1 + t)/(10 + t)) at update t, so that a short run forgets its random start
    (as tf.train.ExponentialMovingAverage with num_updates). Buffers are not averaged: running
    statistics are averages already.
    """

    def __init__(self, model: Layer, values: Array, decay: float, ops: Ops):
        self._values, self._decay, self._ops = values, decay, ops
        self._average = values.copy()
        trained = {id(p.value) for p in model.parameters() if not p.frozen}
        # Views of the arena, so they show the averages while these are applied.
        self.views = {f"ema.{k}": a for k, a in model.state().items() if id(a) in trained}

    def decay(self, iteration: int) -> float:
        """d at update number `iteration`, counted from 1."""
        return min(self._decay, (1 + iteration) / (10 + iteration))

    def update(self, decay: float | Array, *, only_if: Array | None = None) -> None:
        """Take in the weights with `decay`, a number or a device array of its ema_rates.

        `only_if`, a 0-d bool array of the device, leaves the update out where it is false.
        """
        self._ops.ema_update(self._average, self._values, decay=decay, only_if=only_if)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model computes with the averages; its own weights come back after."""
        own = self._values.copy()
        self._values[...] = self._average
        try:
            yield
        finally:
            self._values[...] = own

    def capture(self) -> None:
        """Make the model's present weights the averages."""
        self._average[...] = self._values
