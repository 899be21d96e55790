"""The operations of a device, behind one contract (gpucnn/ops/base.py)."""

import re

from gpucnn.errors import DeviceError
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.kernel_ops import KernelOps, autotune
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.emulator import EmulatorLauncher

__all__ = ["Array", "Ops", "autotune", "get_ops"]


def get_ops(device: str = "cpu") -> Ops:
    """The operations of `device`; DeviceError for a device that is not there.

    "cpu": NumPy. "cuda" and "cuda:N": the CUDA kernels, through CuPy. "emulator": the same kernels,
    compiled by g++ and run on the CPU, for tests. There is no fallback: asking for "cuda" never
    computes on the CPU.
    """
    if device == "cpu":
        return NumpyOps()
    if device == "emulator":
        return KernelOps(EmulatorLauncher())
    cuda = re.fullmatch(r"cuda(?::(\d+))?", str(device))
    if cuda is not None:
        return KernelOps(CudaLauncher(None if cuda[1] is None else int(cuda[1])))
    raise DeviceError(f"device must be cpu, cuda, cuda:N or emulator, got {device!r}")
