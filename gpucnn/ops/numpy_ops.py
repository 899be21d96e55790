"""The `cpu` device: the Ops contract on NumPy and its BLAS."""

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.ops.cpu.convolution import CpuConvolution
from gpucnn.ops.cpu.dense import CpuDense
from gpucnn.ops.cpu.dropout import CpuDropout
from gpucnn.ops.cpu.elementwise import CpuElementwise
from gpucnn.ops.cpu.images import CpuImages
from gpucnn.ops.cpu.pooling import CpuPooling
from gpucnn.ops.cpu.updates import CpuUpdates


class NumpyOps(
    CpuConvolution,
    CpuPooling,
    CpuDense,
    CpuElementwise,
    CpuDropout,
    CpuUpdates,
    CpuImages,
    Ops,
):
    """Operations on numpy.ndarray.

    Overflow gives Inf and undefined results give NaN without a warning, as on a GPU: whoever needs
    to know asks `all_finite`.
    """


for _name in Ops.__abstractmethods__:
    if _name.startswith("_"):
        setattr(NumpyOps, _name, np.errstate(all="ignore")(getattr(NumpyOps, _name)))
