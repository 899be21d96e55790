"""Optimizer steps over flat arenas, in place.

Factors that the `cpu` device forms in Python's float64 are formed here alike, and rounded once to
the arenas' dtype when they are passed.
"""

from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.rates import Ema, Rates
from gpucnn.ops.contract.updates import UpdateOps
from gpucnn.ops.kernels.reductions import KernelReductions


def _passed(rates: Rates, count: int) -> list[Any]:
    """The pointer to the rates, null where they are numbers, and the numbers."""
    return [None, *rates] if isinstance(rates, tuple) else [rates, *[0] * count]


def _averaged(ema: Ema) -> list[Any]:
    """The average, null without one, and its rates as `_passed` gives them."""
    return [None, None, 0, 0] if ema is None else [ema[0], *_passed(ema[1], 2)]


class KernelUpdates(KernelReductions, UpdateOps):
    """The update family on kernels."""

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
    ) -> None:
        rates_at, lr = _passed(rates, 1)
        args = [values, grads, velocity, lr_scale, rates_at, only_if, *_averaged(ema)]
        args += [lr, momentum, nesterov, weight_decay]
        self._launch_elements("sgd_update", values.size, [*args, values.size], dtype=values.dtype)

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
    ) -> None:
        rates_at, *numbers = _passed(rates, 3)
        args = [values, grads, first, second, lr_scale, rates_at, only_if]
        args += [*_averaged(ema), *numbers]
        args += [beta1, 1 - beta1, beta2, 1 - beta2, eps, weight_decay, decoupled, values.size]
        self._launch_elements("adam_update", values.size, args, dtype=values.dtype)

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
    ) -> None:
        rates_at, lr = _passed(rates, 1)
        args = [values, grads, second, velocity, lr_scale, rates_at, only_if, *_averaged(ema)]
        args += [lr, alpha, 1 - alpha, eps, momentum]
        self._launch_elements(
            "rmsprop_update", values.size, [*args, weight_decay, values.size], dtype=values.dtype
        )

    def _ema_update(
        self, average: Array, values: Array, rates: Rates, only_if: Array | None
    ) -> None:
        rates_at, *numbers = _passed(rates, 2)
        args = [average, values, rates_at, only_if, *numbers, values.size]
        self._launch_elements("ema_update", values.size, args, dtype=values.dtype)
