"""Optimizer steps over flat arenas, in place, and the reductions over them.

Factors that the `cpu` device forms in Python's float64 are formed here alike, and rounded once to
the arenas' dtype when they are passed.
"""

from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.rates import Ema, Rates
from gpucnn.ops.contract.updates import UpdateOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps

_BLOCK = (THREADS, 1, 1)
_MACROS = (("THREADS", THREADS),)


def _splits(count: int) -> int:
    """Blocks of a reduction's first pass: by the count alone, so that the order is fixed."""
    return min(-(-count // (8 * THREADS)), 1024)


def _passed(rates: Rates, count: int) -> list[Any]:
    """The pointer to the rates, null where they are numbers, and the numbers."""
    return [None, *rates] if isinstance(rates, tuple) else [rates, *[0] * count]


def _averaged(ema: Ema) -> list[Any]:
    """The average, null without one, and its rates as `_passed` gives them."""
    return [None, None, 0, 0] if ema is None else [ema[0], *_passed(ema[1], 2)]


class KernelUpdates(KernelArrayOps, UpdateOps):
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

    def _clip_by_global_norm(self, grads: Array, max_norm: float) -> Array:
        blocks, name = _splits(grads.size), "clip_by_global_norm"
        sums, norm = self.empty((3, blocks), "float64"), self.empty((), grads.dtype)
        self._launch(
            name,
            (blocks, 1, 1),
            _BLOCK,
            [grads, sums, grads.size],
            dtype=grads.dtype,
            symbol=f"{name}_squares",
            macros=_MACROS,
        )
        # At least one block, which writes the norm of no gradients too.
        args = [grads, sums, norm, max_norm, blocks, grads.size]
        self._launch(name, (max(blocks, 1), 1, 1), _BLOCK, args, dtype=grads.dtype, macros=_MACROS)
        return norm

    def _max_abs(self, a: Array) -> Array:
        blocks = _splits(a.size)
        partial, out = self.empty((blocks,), a.dtype), self.empty((), a.dtype)
        for grid, args in ((blocks, [a, partial, a.size]), (1, [partial, out, blocks])):
            self._launch("max_abs", (grid, 1, 1), _BLOCK, args, dtype=a.dtype, macros=_MACROS)
        return out

    def _all_finite(self, a: Array, also: Array | None) -> Array:
        blocks, name = _splits(a.size), "all_finite"
        partial, out = self.empty((blocks,), "bool"), self.empty((), "bool")
        args = [a, partial, a.size]
        self._launch(name, (blocks, 1, 1), _BLOCK, args, dtype=a.dtype, symbol=f"{name}_partial")
        self._launch(name, (1, 1, 1), _BLOCK, [partial, out, also, blocks], dtype=a.dtype)
        return out
