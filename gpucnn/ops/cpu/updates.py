"""Optimizer steps over flat arenas, in place, a part after the other."""

from collections.abc import Callable

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.rates import Ema, Rates
from gpucnn.ops.contract.updates import UpdateOps
from gpucnn.ops.cpu.base import Scratch
from gpucnn.ops.cpu.reductions import CpuReductions


class CpuUpdates(CpuReductions, UpdateOps):
    """The update family on NumPy."""

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
        (lr,), (average, decays) = rates, ema or (None, ())

        def body(
            take: Scratch, values: Array, grads: Array, velocity: Array, scale: Array, mean: Array
        ) -> None:
            term, ahead = take.like(values), take.like(values)
            step = _decayed(grads, values, weight_decay, take)
            if velocity is not None:
                velocity *= momentum
                velocity += step
                if nesterov:
                    np.multiply(velocity, momentum, out=ahead)
                    ahead += step
                step = ahead if nesterov else velocity
            _apply(values, step, lr, scale, term)
            _take_in(mean, values, decays, term)

        self._each(body, values, grads, velocity, lr_scale, average, only_if=only_if)

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
        (lr, corrected_lr, correction2), (average, decays) = rates, ema or (None, ())

        def body(
            take: Scratch, values: Array, grads: Array, first: Array, second: Array, scale: Array,
            mean: Array,
        ) -> None:  # fmt: skip
            term, root = take.like(values), take.like(values)
            if weight_decay and decoupled:
                decay = np.multiply(values, weight_decay, out=root)
                _apply(values, decay, lr, scale, term)
            else:
                grads = _decayed(grads, values, weight_decay, take)
            first *= beta1
            first += np.multiply(grads, 1 - beta1, out=term)
            _add_squares(second, grads, beta2, term)
            np.sqrt(np.divide(second, correction2, out=root), out=root)
            root += eps
            ratio = np.divide(first, root, out=root)
            _apply(values, ratio, corrected_lr, scale, term)
            _take_in(mean, values, decays, term)

        self._each(body, values, grads, first, second, lr_scale, average, only_if=only_if)

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
        (lr,), (average, decays) = rates, ema or (None, ())

        def body(
            take: Scratch, values: Array, grads: Array, second: Array, velocity: Array,
            scale: Array, mean: Array,
        ) -> None:  # fmt: skip
            term, root = take.like(values), take.like(values)
            grads = _decayed(grads, values, weight_decay, take)
            _add_squares(second, grads, alpha, term)
            np.sqrt(second, out=root)
            root += eps
            step = np.divide(grads, root, out=root)
            if velocity is not None:
                velocity *= momentum
                velocity += step
                step = velocity
            _apply(values, step, lr, scale, term)
            _take_in(mean, values, decays, term)

        self._each(body, values, grads, second, velocity, lr_scale, average, only_if=only_if)

    def _ema_update(
        self, average: Array, values: Array, rates: Rates, only_if: Array | None
    ) -> None:
        def body(take: Scratch, average: Array, values: Array) -> None:
            _take_in(average, values, rates, take.like(values))

        self._each(body, average, values, only_if=only_if)

    def _each(
        self, body: Callable[..., None], *arenas: Array | None, only_if: Array | None
    ) -> None:
        """body(scratch, *parts) for matching parts of the arenas, of which some may be None.

        Where `only_if` is false nothing is done, with the same requests for memory.
        """
        like = arenas[0]
        assert like is not None

        def part(low: int, high: int, take: Scratch) -> None:
            if only_if is not None and not only_if:
                return
            body(take, *(None if a is None else a[low:high] for a in arenas))

        self._over(like.size, like.size, part, scratch=3 * like.itemsize)


def _take_in(average: Array | None, values: Array, rates: Rates, term: Array) -> None:
    """average = decay·average + rest·values, if there is one; `term` is room for the product."""
    if average is not None:
        decay, rest = rates
        average *= decay
        average += np.multiply(values, rest, out=term)


def _decayed(grads: Array, values: Array, weight_decay: float, take: Scratch) -> Array:
    """grads + weight_decay·values."""
    if not weight_decay:
        return grads
    term = take.like(values)
    return np.add(grads, np.multiply(values, weight_decay, out=term), out=term)


def _add_squares(mean: Array, grads: Array, decay: float, term: Array) -> None:
    """mean = decay·mean + (1 - decay)·grads²."""
    mean *= decay
    np.multiply(grads, 1 - decay, out=term)
    term *= grads
    mean += term


def _apply(values: Array, step: Array, lr: float, scale: Array | None, term: Array) -> None:
    """values -= lr·scale·step, worked out in `term`."""
    if scale is None:
        np.multiply(step, lr, out=term)
    else:
        np.multiply(scale, lr, out=term)
        term *= step
    values -= term
