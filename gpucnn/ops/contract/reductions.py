"""A whole array in one number: what a training watches, and the norm that clipping needs."""

from abc import abstractmethod

from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps, number


class ReductionOps(ArrayOps):
    """Results are 0-d arrays of the device; the host does not wait for them."""

    def clip_by_global_norm(self, grads: Array, *, max_norm: float) -> Array:
        """Scale `grads` so that their 2-norm is at most `max_norm`; return the norm before (0-d).

        Non-finite gradients stay as they are, so that they are found and named. (torch's
        clip_grad_norm_ adds 1e-6 to the divisor; here the norm is max_norm to rounding.)
        """
        self._check("grads", grads, ndim=1)
        return self._clip_by_global_norm(grads, number("max_norm", max_norm, 0, open_high=True))

    @implements("A21")
    def max_abs(self, a: Array) -> Array:
        """Return the largest absolute value (0-d); 0 for an empty array, NaN if there is one."""
        self._check("a", a)
        return self._max_abs(a)

    def all_finite(
        self, a: Array, *, also: Array | None = None, before: Array | None = None
    ) -> Array:
        """Return whether no element, nor the 0-d `also`, is NaN or Inf (0-d bool).

        With `before`, an earlier answer, what was False once stays False.
        """
        self._check("a", a)
        if also is not None:
            self._check("also", also, shape=(), dtype=a.dtype.name)
        if before is not None:
            self._check("before", before, shape=(), dtype="bool")
        return self._all_finite(a, also, before)

    @abstractmethod
    def _clip_by_global_norm(self, grads: Array, max_norm: float) -> Array: ...

    @abstractmethod
    def _max_abs(self, a: Array) -> Array: ...

    @abstractmethod
    def _all_finite(self, a: Array, also: Array | None, before: Array | None) -> Array: ...
