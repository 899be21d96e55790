"""Optimizer steps over flat arenas, in place: one call, and one launch, for all parameters."""

from abc import abstractmethod
from collections.abc import Callable
from math import inf
from typing import Any

from gpucnn.errors import ConfigError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, number
from gpucnn.ops.contract.rates import Ema, Rates, adam_rates, ema_rates, sgd_rates
from gpucnn.ops.contract.reductions import ReductionOps
from gpucnn.ops.shapes import integer


class UpdateOps(ReductionOps):
    """All arrays are 1-d of one length and dtype.

    `lr_scale` is None or an array of that length that multiplies the learning rate. `lr` (`decay`)
    may be a 1-d array of the device, of the arenas' dtype, with what sgd_rates, adam_rates or
    ema_rates give: it is read when the update runs, to the same bits. `only_if`, a 0-d bool array,
    leaves the update out where it is false by then. `average` takes in the new values with `decay`,
    as ema_update after it would.
    """

    @implements("A22")
    def sgd_update(
        self,
        values: Array,
        grads: Array,
        velocity: Array | None,
        *,
        lr: float | Array,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        lr_scale: Array | None = None,
        only_if: Array | None = None,
        average: Array | None = None,
        decay: float | Array | None = None,
    ) -> None:
        """One step of SGD (S0 §6, S3; as torch.optim.SGD with dampening 0).

        g = grad + weight_decay·value; velocity = momentum·velocity + g; the step is velocity, or
        g + momentum·velocity with nesterov; value -= lr·step. `velocity` may be None where
        momentum is 0.
        """
        momentum = number("momentum", momentum, 0, 1, open_high=True)
        used = {"velocity": velocity} if momentum else {}
        self._check_arenas(lr_scale, only_if, average, values=values, grads=grads, **used)
        self._sgd_update(
            values,
            grads,
            used.get("velocity"),
            self._rates("lr", lr, values, sgd_rates),
            momentum,
            bool(nesterov),
            number("weight_decay", weight_decay, 0, open_high=True),
            lr_scale,
            only_if,
            self._ema(average, decay, values),
        )

    def adam_update(
        self,
        values: Array,
        grads: Array,
        first: Array,
        second: Array,
        *,
        lr: float | Array,
        step: int,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        lr_scale: Array | None = None,
        only_if: Array | None = None,
        average: Array | None = None,
        decay: float | Array | None = None,
    ) -> None:
        """One step of Adam (Kingma & Ba, 2015), or of AdamW with `decoupled` (as torch.optim).

        `first` and `second` hold the moments; `step` counts from 1, and is unused where `lr` is an
        array.
        """
        self._check_arenas(
            lr_scale, only_if, average, values=values, grads=grads, first=first, second=second
        )
        step = integer("step", step, minimum=1)
        beta1 = number("beta1", beta1, 0, 1, open_high=True)
        beta2 = number("beta2", beta2, 0, 1, open_high=True)
        self._adam_update(
            values,
            grads,
            first,
            second,
            self._rates("lr", lr, values, lambda lr: adam_rates(lr, step, beta1, beta2), 3),
            beta1,
            beta2,
            number("eps", eps, 0, open_high=True),
            number("weight_decay", weight_decay, 0, open_high=True),
            bool(decoupled),
            lr_scale,
            only_if,
            self._ema(average, decay, values),
        )

    def rmsprop_update(
        self,
        values: Array,
        grads: Array,
        second: Array,
        velocity: Array | None,
        *,
        lr: float | Array,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        lr_scale: Array | None = None,
        only_if: Array | None = None,
        average: Array | None = None,
        decay: float | Array | None = None,
    ) -> None:
        """One step of RMSprop, not centred (Hinton's lecture 6e; as torch.optim.RMSprop)."""
        momentum = number("momentum", momentum, 0, 1, open_high=True)
        used = {"second": second} | ({"velocity": velocity} if momentum else {})
        self._check_arenas(lr_scale, only_if, average, values=values, grads=grads, **used)
        self._rmsprop_update(
            values,
            grads,
            second,
            used.get("velocity"),
            self._rates("lr", lr, values, sgd_rates),
            number("alpha", alpha, 0, 1),
            number("eps", eps, 0, open_high=True),
            momentum,
            number("weight_decay", weight_decay, 0, open_high=True),
            lr_scale,
            only_if,
            self._ema(average, decay, values),
        )

    def ema_update(
        self,
        average: Array,
        values: Array,
        *,
        decay: float | Array,
        only_if: Array | None = None,
    ) -> None:
        """average = decay·average + (1 - decay)·values."""
        self._check("average", average)
        self._check_arenas(None, only_if, average, values=values)
        rates = self._rates("decay", decay, values, ema_rates, 2, high=1)
        self._ema_update(average, values, rates, only_if)

    def _rates(
        self,
        name: str,
        value: Any,
        like: Array,
        rates: Callable[[float], tuple[float, ...]],
        count: int = 1,
        *,
        high: float = inf,
    ) -> Rates:
        """An array of `count` rates as it is, those of a number from 0 to `high`."""
        if self.is_array(value) and value.ndim:
            self._check(name, value, shape=(count,), dtype=like.dtype.name)
            return value
        return rates(number(name, value, 0, high, open_high=high == inf))

    def _ema(self, average: Array | None, decay: Any, values: Array) -> Ema:
        if average is None:
            if decay is not None:
                raise ConfigError(f"decay needs an average to decay, got {decay!r} without one")
            return None
        return average, self._rates("decay", decay, values, ema_rates, 2, high=1)

    def _check_arenas(self, lr_scale: Any, only_if: Any, average: Any, **arenas: Any) -> None:
        if only_if is not None:
            self._check("only_if", only_if, shape=(), dtype="bool")
        given = {"average": average, "lr_scale": lr_scale}
        arenas |= {name: a for name, a in given.items() if a is not None}
        reference = next(iter(arenas.values()))
        for i, (name, arena) in enumerate(arenas.items()):
            self._check(name, arena, ndim=1)
            if i:
                self._check(name, arena, shape=reference.shape, dtype=reference.dtype.name)
        read = {name: a for name, a in arenas.items() if name in ("grads", "lr_scale")}
        self._check_apart({name: a for name, a in arenas.items() if name not in read}, read)

    @abstractmethod
    def _sgd_update(
        self,
        values: Array,
        grads: Array,
        velocity: Array | None,
        rates: Rates,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        lr_scale: Array | None,
        only_if: Array | None,
        ema: Ema,
    ) -> None: ...

    @abstractmethod
    def _adam_update(
        self,
        values: Array,
        grads: Array,
        first: Array,
        second: Array,
        rates: Rates,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        lr_scale: Array | None,
        only_if: Array | None,
        ema: Ema,
    ) -> None: ...

    @abstractmethod
    def _rmsprop_update(
        self,
        values: Array,
        grads: Array,
        second: Array,
        velocity: Array | None,
        rates: Rates,
        alpha: float,
        eps: float,
        momentum: float,
        weight_decay: float,
        lr_scale: Array | None,
        only_if: Array | None,
        ema: Ema,
    ) -> None: ...

    @abstractmethod
    def _ema_update(
        self, average: Array, values: Array, rates: Rates, only_if: Array | None
    ) -> None: ...
