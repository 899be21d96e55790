"""An emulated device that is harder on a kernel than the plain one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.ops.base import Array
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime.emulator import EmulatorLauncher


class PoisonedOps(KernelOps):
    """Results and workspaces begin as NaN: what a kernel leaves out shows, whatever memory held."""

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        out = super().empty(shape, dtype)
        poison = {"f": np.nan, "b": True}.get(out.dtype.kind)
        out[...] = np.iinfo(out.dtype).max if poison is None else poison
        return out


def poisoned(**options: Any) -> PoisonedOps:
    """The emulator, every result poisoned."""
    return PoisonedOps(EmulatorLauncher(**options))
