"""A whole array in one number, in two passes: a value of each block, then those of the blocks."""

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.reductions import ReductionOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps

_BLOCK = (THREADS, 1, 1)
_MACROS = (("THREADS", THREADS),)


def _splits(count: int) -> int:
    """Blocks of a reduction's first pass: by the count alone, so that the order is fixed."""
    return min(-(-count // (8 * THREADS)), 1024)


class KernelReductions(KernelArrayOps, ReductionOps):
    """The reduction family on kernels."""

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

    def _all_finite(self, a: Array, also: Array | None, before: Array | None) -> Array:
        blocks, name = _splits(a.size), "all_finite"
        partial, out = self.empty((blocks,), "bool"), self.empty((), "bool")
        args = [a, partial, a.size]
        self._launch(name, (blocks, 1, 1), _BLOCK, args, dtype=a.dtype, symbol=f"{name}_partial")
        args = [partial, out, also, before, blocks]
        self._launch(name, (1, 1, 1), _BLOCK, args, dtype=a.dtype)
        return out
