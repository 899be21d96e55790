"""A step of training as work for the device alone: the host is neither waited for nor told.

What changes from step to step comes in as a Moment, and what the host must know goes out through
an Outcome: both may lie in device memory, so that the launches of all steps can be the same.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpucnn.implements import implements
from gpucnn.layers.base import Layer
from gpucnn.losses import Loss
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.rates import ema_rates
from gpucnn.optimizers import Optimizer
from gpucnn.training.averaging import WeightAverage


class Moment(NamedTuple):
    """What a step takes from its place in the training: numbers, or arrays of the device."""

    counter: int | Array
    """Of the random draws, from 0."""
    lr: float | Array
    decay: float | Array | None
    """Of the average, if there is one."""


def in_arrays(moment: Moment, optimizer: Optimizer) -> tuple[Any, ...]:
    """The numbers of `moment`, of the optimizer's next step, as a device takes them from memory."""
    dtype = optimizer.values.dtype
    rates = optimizer.rates(moment.lr)
    decay = ema_rates(0.0 if moment.decay is None else moment.decay)
    return np.asarray(moment.counter, np.uint32), np.asarray(rates, dtype), np.asarray(decay, dtype)


class Outcome(NamedTuple):
    """What the host must know of a step."""

    loss: float
    """As the loss reduces it."""
    finite: bool
    """Whether loss and gradients are, of this step and all before it; else it has no update."""
    change: float
    """The largest |change| of a weight; NaN where nobody asked for it."""


class Step:
    """Forward, backward, check, clipping, update and average; `values` and `grads` in place."""

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        average: WeightAverage | None,
        ops: Ops,
        *,
        clip_norm: float | None = None,
        measure_change: bool = False,
    ):
        self.model, self.loss, self.optimizer, self.average = model, loss, optimizer, average
        self.ops, self.clip_norm, self.measure_change = ops, clip_norm, measure_change
        dtype = optimizer.values.dtype
        self._outcome = ops.zeros((3, dtype.itemsize), "uint8")
        self._loss, self._change = (self._outcome[i].view(dtype).reshape(()) for i in (0, 1))
        self._finite = self._outcome[2, :1].view("bool").reshape(())
        self.begin()

    def begin(self) -> None:
        """Forget that an earlier run was not finite."""
        self._finite.fill(True)

    def run(self, x: Array, target: Array, moment: Moment) -> None:
        """The whole step on a batch. No array made in here outlives it."""
        ops, optimizer, copy = self.ops, self.optimizer, self.ops.memory.copy
        loss = self.gradients(x, target, moment.counter)
        # Once a step was not finite none is: the host may learn of it a step later.
        finite = ops.all_finite(optimizer.grads, also=loss, before=self._finite)
        copy(self._loss, loss)
        copy(self._finite, finite)
        if self.clip_norm is not None:
            ops.clip_by_global_norm(optimizer.grads, max_norm=self.clip_norm)
        self._update(moment, finite)

    def gradients(self, x: Array, target: Array, counter: int | Array) -> Array:
        """The loss of a batch, 0-d; its gradients are the parameters' from now on."""
        self.model.set_step(counter)
        loss, dy = self.loss(self.ops, self.model.forward(x, train=True), target)
        self.model.backward(dy)
        return loss

    def outcome(self) -> Outcome:
        """Of the last run; waits for the device."""
        return self._read(self.ops.to_numpy(self._outcome))

    def outcome_later(self) -> Callable[[], Outcome]:
        """Of the last run, whatever runs come before it is called; it then waits for the device."""
        fetched = self.ops.memory.fetch(self._outcome)
        return lambda: self._read(fetched())

    def _read(self, host: Any) -> Outcome:
        dtype = self.optimizer.values.dtype
        loss, change = (float(host[i].view(dtype)[0]) for i in (0, 1))
        return Outcome(loss, bool(host[2, 0]), change if self.measure_change else math.nan)

    @implements("A21", "S0:6")
    def _update(self, moment: Moment, finite: Array) -> None:
        """The optimizer's step with the average, and how far it went where that is asked for."""
        ops, values = self.ops, self.optimizer.values
        options = {"only_if": finite}
        if self.average is not None:
            options |= {"average": self.average.average, "decay": moment.decay}
        if not self.measure_change:
            self.optimizer.step(moment.lr, **options)
            return
        change = ops.empty(values.shape, values.dtype)
        ops.memory.copy(change, values)
        self.optimizer.step(moment.lr, **options)
        change -= values
        ops.memory.copy(self._change, ops.max_abs(change))
