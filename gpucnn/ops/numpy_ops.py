"""The `cpu` device: the Ops contract on NumPy and its BLAS."""

from typing import Any

import numpy as np

from gpucnn.ops.base import Array, Ops
from gpucnn.ops.cpu.convolution import CpuConvolution
from gpucnn.ops.cpu.dense import CpuDense
from gpucnn.ops.cpu.dropout import CpuDropout
from gpucnn.ops.cpu.elementwise import CpuElementwise
from gpucnn.ops.cpu.pooling import CpuPooling
from gpucnn.ops.cpu.updates import CpuUpdates
from gpucnn.runtime.memory import HostMemory


class NumpyOps(CpuConvolution, CpuPooling, CpuDense, CpuElementwise, CpuDropout, CpuUpdates, Ops):
    """Operations on numpy.ndarray.

    Overflow gives Inf and undefined results give NaN without a warning, as on a GPU: whoever needs
    to know asks `all_finite`.
    """

    name = "cpu"
    memory = HostMemory()

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        return np.require(a, dtype, "C")

    def to_numpy(self, a: Array) -> Any:
        return np.asarray(a)

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.zeros(shape, dtype)

    def synchronize(self) -> None:
        """NumPy has finished when it returns."""

    def is_array(self, a: Any) -> bool:
        return isinstance(a, np.ndarray)


for _name in Ops.__abstractmethods__:
    if _name.startswith("_"):
        setattr(NumpyOps, _name, np.errstate(all="ignore")(getattr(NumpyOps, _name)))
