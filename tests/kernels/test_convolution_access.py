"""How the convolutions' kernels use memory, by the emulator's counts."""

import pytest

from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.ops.harness import normal


@pytest.mark.parametrize("filters", [4, 16])
def test_the_direct_kernels_stage_without_bank_conflicts(filters: int) -> None:
    """A warp stores 8 taps of 4 rows: each to a bank of its own."""
    launcher = EmulatorLauncher(checked=True)
    KernelOps(launcher).conv2d_forward(
        normal((1, 4, 6, 6), "float32"), normal((filters, 4, 4, 4), "float32", 1)
    )
    staged = [m for m in launcher.metrics if (m.space, m.access, m.size) == ("shared", "store", 4)]
    # 64 taps, two times 32: a warp's request is 32 of the filters * 64 weights.
    assert sum(m.requests for m in staged) == filters * 64 // 32
    assert sum(m.units for m in staged) == filters * 64 // 32


@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_depthwise_strip_reads_each_row_once(size: int) -> None:
    """8 results below each other: size·size weights and (8 + size - 1) rows of size numbers."""
    launcher = EmulatorLauncher(checked=True)
    x, w = normal((1, 2, 7 + size, 31 + size), "float32"), normal((2, 1, size, size), "float32", 1)
    y = KernelOps(launcher).conv2d_forward(x, w, groups=2)
    assert y.shape == (1, 2, 8, 32)
    loads = sum(m.bytes for m in launcher.metrics if (m.space, m.access) == ("global", "load"))
    assert loads == 4 * 2 * 32 * (size * size + (8 + size - 1) * size)
