"""The `cuda` and `emulator` devices: the Ops contract on the kernels of kernels/*.cu."""

from functools import partial

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels.conv_plan import FILES
from gpucnn.ops.kernels.conv_tuner import Tuner
from gpucnn.ops.kernels.convolution import KernelConvolution
from gpucnn.ops.kernels.dense import KernelDense
from gpucnn.ops.kernels.dropout import KernelDropout
from gpucnn.ops.kernels.elementwise import KernelElementwise
from gpucnn.ops.kernels.images import KernelImages
from gpucnn.ops.kernels.normalization import KernelNormalization
from gpucnn.ops.kernels.pooling import KernelPooling
from gpucnn.ops.kernels.updates import KernelUpdates
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.emulator_build import cache_folder
from gpucnn.runtime.timing import environment, milliseconds


class KernelOps(
    KernelConvolution,
    KernelPooling,
    KernelNormalization,
    KernelDense,
    KernelElementwise,
    KernelDropout,
    KernelUpdates,
    KernelImages,
    Ops,
):
    """Operations on the arrays of one launcher's device."""


def autotune(ops: Ops) -> str:
    """Measure the convolutions' plans where they run on a GPU; a line that says what happens."""
    if not isinstance(ops, KernelOps) or not isinstance(ops.launcher, CudaLauncher):
        return f"autotune: nothing to measure on device {ops.name}"
    launcher = ops.launcher
    ops.tuner = Tuner(partial(milliseconds, launcher), environment(launcher, FILES), cache_folder())
    return f"autotune: plans are kept in {ops.tuner.path}"
