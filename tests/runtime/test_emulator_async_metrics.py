"""How the emulator counts asynchronous copies that some lanes of a warp do not make."""

import shutil
from pathlib import Path

import numpy as np

from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import kernels_folder

# The rows of x go to shared memory without their first 24, 16, 8 and 0 numbers.
STAIRCASE = """
#include "async.cuh"

extern "C" __global__ void staircase(const float* x, float* y, int rows) {
    __shared__ __align__(16) float tile[4][32];
    const int lane = threadIdx.x;
    for (int row = 0; row < rows; ++row)
        copy_async<4>(&tile[row][lane], x + row * 32 + lane, lane >= 24 - 8 * row);
    commit_copies();
    wait_copies<0>();
    for (int row = 0; row < rows; ++row) y[row * 32 + lane] = tile[row][lane];
}
"""


def test_lanes_left_out_stay_in_the_request(tmp_path: Path) -> None:
    """Eight lanes less are a sector of 32 bytes less; a warp's copy stays one request."""
    for header in ("async.cuh", "common.cuh"):
        shutil.copy(kernels_folder() / header, tmp_path)
    (tmp_path / "staircase.cu").write_text(STAIRCASE)
    device = EmulatorLauncher(checked=True)
    x, y = np.ones((4, 32), np.float32), device.xp.empty((4, 32), np.float32)
    device.launch(
        Kernel("staircase", "staircase", (), tmp_path),
        (1, 1, 1),
        (32, 1, 1),
        [x.ravel(), y.ravel(), 4],
    )
    np.testing.assert_array_equal(y, np.arange(32) >= 24 - 8 * np.arange(4)[:, None])
    loads = [m for m in device.metrics if (m.space, m.access) == ("global", "load")]
    assert sum(m.requests for m in loads) == 4
    assert sum(m.units for m in loads) == 1 + 2 + 3 + 4
    stores = [m for m in device.metrics if (m.space, m.access, m.size) == ("shared", "store", 4)]
    assert sum(m.requests for m in stores) == sum(m.units for m in stores) == 4
