"""An emulated device that is harder on a kernel than the plain one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.ops.base import Array
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime.emulator import EmulatorLauncher


class PoisonedOps(KernelOps):
    """Results and workspaces begin as poison: what a kernel leaves out shows, whatever memory held.

    Every byte is 0xFF, which is NaN, -1, or 255. Checked mode takes just that for what nothing has
    written; of any other poison it would think that the host had.
    """

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        out = super().empty(shape, dtype)
        out.reshape(-1).view(np.uint8)[...] = 0xFF
        return out


def poisoned(**options: Any) -> PoisonedOps:
    """The emulator, every result poisoned."""
    return PoisonedOps(EmulatorLauncher(**options))
