"""The `cuda` and `emulator` devices: the Ops contract on the kernels of kernels/*.cu."""

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels.convolution import KernelConvolution
from gpucnn.ops.kernels.dense import KernelDense
from gpucnn.ops.kernels.dropout import KernelDropout
from gpucnn.ops.kernels.elementwise import KernelElementwise
from gpucnn.ops.kernels.normalization import KernelNormalization
from gpucnn.ops.kernels.pooling import KernelPooling
from gpucnn.ops.kernels.updates import KernelUpdates


class KernelOps(
    KernelConvolution,
    KernelPooling,
    KernelNormalization,
    KernelDense,
    KernelElementwise,
    KernelDropout,
    KernelUpdates,
    Ops,
):
    """Operations on the arrays of one launcher's device."""
