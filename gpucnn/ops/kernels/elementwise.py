"""Activations, sums and joins."""

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.elementwise import ElementwiseOps
from gpucnn.ops.kernels.base import KernelArrayOps


class KernelElementwise(KernelArrayOps, ElementwiseOps):
    """The elementwise family on kernels."""

    def _relu_forward(self, x: Array) -> Array:
        y = self.launcher.xp.empty_like(x)
        self._launch_elements("relu_forward", x.size, [x, y, x.size], dtype=x.dtype)
        return y
