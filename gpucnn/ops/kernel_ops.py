"""The `cuda` and `emulator` devices: the Ops contract on the kernels of kernels/*.cu."""

from gpucnn.ops.kernels.elementwise import KernelElementwise


class KernelOps(KernelElementwise):
    """Operations on the arrays of one launcher's device."""
