"""How the emulator counts asynchronous copies that some lanes of a warp do not make."""

import shutil
from pathlib import Path

import numpy as np

from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import kernels_folder

# The rows of x go to shared memory, every second one without its even numbers.
COMB = """
#include "async.cuh"

extern "C" __global__ void comb(const float* x, float* y, int rows) {
    __shared__ __align__(16) float tile[4][32];
    const int lane = threadIdx.x;
    for (int row = 0; row < rows; ++row)
        copy_async<4>(&tile[row][lane], x + row * 32 + lane, row % 2 || lane % 2);
    commit_copies();
    wait_copies<0>();
    for (int row = 0; row < rows; ++row) y[row * 32 + lane] = tile[row][lane];
}
"""


def test_lanes_left_out_stay_in_the_request(tmp_path: Path) -> None:
    """Every copy of a warp is one request, of a row's 4 sectors of 32 bytes."""
    for header in ("async.cuh", "common.cuh"):
        shutil.copy(kernels_folder() / header, tmp_path)
    (tmp_path / "comb.cu").write_text(COMB)
    device = EmulatorLauncher(checked=True)
    x, y = np.ones((4, 32), np.float32), device.xp.empty((4, 32), np.float32)
    device.launch(
        Kernel("comb", "comb", (), tmp_path),
        (1, 1, 1),
        (32, 1, 1),
        [x.ravel(), y.ravel(), 4],
    )
    np.testing.assert_array_equal(y, np.arange(4)[:, None] % 2 | np.arange(32) % 2)
    loads = [m for m in device.metrics if (m.space, m.access) == ("global", "load")]
    assert sum(m.requests for m in loads) == 4
    assert sum(m.units for m in loads) == 4 * 4
    stores = [m for m in device.metrics if (m.space, m.access, m.size) == ("shared", "store", 4)]
    assert sum(m.requests for m in stores) == sum(m.units for m in stores) == 4
