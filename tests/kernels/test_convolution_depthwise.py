"""The depthwise convolutions with a window that is compiled in: the bits of those without."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.kernels.conv_plan import DEPTHWISE_KERNELS, ConvPlan, plan
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.convolution_geometries import FEW
from tests.kernels.devices import PoisonedOps, poisoned
from tests.kernels.test_convolution import check_all, passes

COMPILED_IN = {
    "depthwise_two_strips": 3,
    "depthwise_5x5": 5,
    "depthwise_7x7": 7,
}


class AtRunTime(PoisonedOps):
    """Window, stride and dilation known at run time alone."""

    def _plan(self, operation: Any, shape: Any, dtype: Any) -> ConvPlan:
        return replace(super()._plan(operation, shape, dtype), kernel=0)


def kernels_of(name: str, dtype: str) -> set[int]:
    x_shape, w_shape, kw = FEW[name]
    shape = Conv2dShape.of(x_shape, w_shape, **kw)
    return {
        plan("conv2d_forward", shape, dtype).kernel,
        plan("conv2d_backward_input", shape, dtype).kernel,
    }


def test_which_windows_are_compiled_in() -> None:
    """Square ones at stride and dilation 1, in float32: float64 has not the registers."""
    for name in (name for name in FEW if name.startswith("depthwise")):
        assert kernels_of(name, "float32") == {COMPILED_IN.get(name, 0)}
        assert kernels_of(name, "float64") == {0}


@pytest.mark.parametrize("name", COMPILED_IN)
def test_the_same_bits_as_at_run_time(name: str) -> None:
    """(r, s) ascends in each sum, whether it is the rows or the taps that are gone through."""
    usual, other = poisoned(), AtRunTime(EmulatorLauncher())
    pairs = zip(
        passes(usual, FEW[name], "float32"), passes(other, FEW[name], "float32"), strict=True
    )
    for a, b in pairs:
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("size", DEPTHWISE_KERNELS["float32"])
def test_strips_that_are_whole_or_not(size: int, rows: int) -> None:
    geometry = ((1, 2, rows, 3), (2, 1, size, size), {"groups": 2, "padding": size // 2})
    check_all(poisoned(checked=True), geometry)


def test_padding_beyond_the_window() -> None:
    """Rows and columns of y that see nothing of x are the bias."""
    x, w = np.ones((1, 2, 2, 3), np.float32), np.ones((2, 1, 3, 3), np.float32)
    b = np.array([2, -3], np.float32)
    y = poisoned(checked=True).conv2d_forward(x, w, b, padding=5, groups=2)
    assert y.shape == (1, 2, 10, 11)
    for k in range(2):
        assert (y[0, k, :3] == b[k]).all()
        assert (y[0, k, :, -3:] == b[k]).all()
        assert y[0, k].max() > b[k]
