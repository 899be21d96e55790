"""Optimizer steps over flat arenas, in place."""

from math import inf, sqrt

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.updates import UpdateOps


def _apply(values: Array, step: Array, lr: float, lr_scale: Array | None) -> None:
    values -= lr * step if lr_scale is None else lr * lr_scale * step


class CpuUpdates(UpdateOps):
    """The update family on NumPy."""

    def _sgd_update(
        self,
        values: Array,
        grads: Array,
        velocity: Array | None,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        lr_scale: Array | None,
    ) -> None:
        step = grads + weight_decay * values if weight_decay else grads
        if velocity is not None:
            velocity *= momentum
            velocity += step
            step = step + momentum * velocity if nesterov else velocity
        _apply(values, step, lr, lr_scale)

    def _adam_update(
        self,
        values: Array,
        grads: Array,
        first: Array,
        second: Array,
        lr: float,
        step: int,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        lr_scale: Array | None,
    ) -> None:
        if weight_decay and decoupled:
            _apply(values, weight_decay * values, lr, lr_scale)
        elif weight_decay:
            grads = grads + weight_decay * values
        first *= beta1
        first += (1 - beta1) * grads
        second *= beta2
        second += (1 - beta2) * grads * grads
        root = np.sqrt(second / (1 - beta2**step))
        root += eps
        _apply(values, first / root, lr / (1 - beta1**step), lr_scale)

    def _rmsprop_update(
        self,
        values: Array,
        grads: Array,
        second: Array,
        velocity: Array | None,
        lr: float,
        alpha: float,
        eps: float,
        momentum: float,
        weight_decay: float,
        lr_scale: Array | None,
    ) -> None:
        if weight_decay:
            grads = grads + weight_decay * values
        second *= alpha
        second += (1 - alpha) * grads * grads
        step = grads / (np.sqrt(second) + eps)
        if velocity is not None:
            velocity *= momentum
            velocity += step
            step = velocity
        _apply(values, step, lr, lr_scale)

    def _ema_update(self, average: Array, values: Array, decay: float) -> None:
        average *= decay
        average += (1 - decay) * values

    def _clip_by_global_norm(self, grads: Array, max_norm: float) -> Array:
        top = float(self._max_abs(grads))
        if not 0 < top < inf:
            return np.asarray(top, grads.dtype)
        # The largest taken out, so that no square overflows or vanishes.
        relative = sqrt(np.sum(np.square(grads / top, dtype=np.float64)))
        if top * relative > max_norm:
            grads *= max_norm / top / relative
        with np.errstate(over="ignore"):
            return np.asarray(top * relative, grads.dtype)

    def _max_abs(self, a: Array) -> Array:
        return np.asarray(np.max(np.abs(a), initial=0), a.dtype)

    def _all_finite(self, a: Array) -> Array:
        return np.asarray(np.isfinite(a).all())
