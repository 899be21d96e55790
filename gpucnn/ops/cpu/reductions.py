"""A whole array in one number, each part by itself and then the parts."""

from math import inf, sqrt

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.reductions import ReductionOps
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch


class CpuReductions(CpuArrayOps, ReductionOps):
    """The reduction family on NumPy."""

    def _clip_by_global_norm(self, grads: Array, max_norm: float) -> Array:
        # The largest taken out, so that no square overflows or vanishes.
        relative, squares = self.empty(grads.shape, grads.dtype), self.empty(grads.shape, "float64")
        norm = self.empty((), grads.dtype)
        top = float(self._max_abs(grads))
        if not 0 < top < inf:
            norm[...] = top
            return norm
        np.square(np.divide(grads, top, out=relative), out=squares, dtype=np.float64)
        length = sqrt(np.sum(squares))
        if top * length > max_norm:
            grads *= max_norm / top / length
        norm[...] = top * length
        return norm

    def _max_abs(self, a: Array) -> Array:
        flat = a.reshape(-1)

        def body(out: Array, low: int, high: int, take: Scratch) -> None:
            part = np.abs(flat[low:high], out=take(high - low, a.dtype))
            np.max(part, initial=0, out=out)

        parts = self._reduced(a.size, a.size, (), a.dtype, body, scratch=a.itemsize)
        return np.max(parts, initial=0, out=self.empty((), a.dtype))

    def _all_finite(self, a: Array, also: Array | None, before: Array | None) -> Array:
        flat = a.reshape(-1)

        def body(out: Array, low: int, high: int, take: Scratch) -> None:
            np.all(np.isfinite(flat[low:high], out=take(high - low, bool)), out=out)

        parts = self._reduced(a.size, a.size, (), bool, body, scratch=1)
        finite = np.all(parts, out=self.empty((), bool))
        if also is not None:
            finite &= np.isfinite(also)
        if before is not None:
            finite &= before
        return finite
