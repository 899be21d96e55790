"""What a kernel's declaration promises of a launch, and only a GPU would make use of."""

from pathlib import Path

import numpy as np
import pytest

from gpucnn.errors import KernelError
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel

TEXT = """
constexpr int kThreads = 4 * 16;

extern "C" __global__ void add(const float* __restrict__ a, const float* __restrict__ b,
                               float* __restrict__ y) {
    y[threadIdx.x] = a[threadIdx.x] + (b ? b[threadIdx.x] : 0);
}
extern "C" __global__ void __launch_bounds__(kThreads, 2)
half(const float* __restrict__ x, float* y) {
    y[threadIdx.x] = x[threadIdx.x] / 2;
}
extern "C" __global__ void copy(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
"""


@pytest.fixture
def launcher(tmp_path: Path) -> EmulatorLauncher:
    (tmp_path / "promises.cu").write_text(TEXT)
    return EmulatorLauncher(tmp_path)


def launch(
    launcher: EmulatorLauncher, symbol: str, *args: np.ndarray | None, threads: int = 4
) -> None:
    launcher.launch(Kernel("promises", symbol, ()), (1, 1, 1), (threads, 1, 1), args)


def test_a_written_array_lies_apart_from_all_others(launcher: EmulatorLauncher) -> None:
    memory = np.arange(12, dtype="float32")
    x, beside, over = memory[:4], memory[4:8], memory[3:7]
    for b, y in ((x, x), (None, x), (beside, over), (None, over)):
        with pytest.raises(KernelError, match=r"add: . and y overlap, and the kernel writes"):
            launch(launcher, "add", x, b, y)
    with pytest.raises(KernelError, match="half: x and y overlap"):
        launch(launcher, "half", x, over)  # one promise is enough
    with pytest.raises(KernelError, match="half: x and y overlap"):
        launcher.capture(lambda: launch(launcher, "half", x, over))
    assert (memory == np.arange(12)).all(), "nothing was run"


def test_what_is_only_read_may_be_one_array(launcher: EmulatorLauncher) -> None:
    memory = np.arange(12, dtype="float32")
    launch(launcher, "add", memory[:4], memory[:4], memory[4:8])
    launch(launcher, "add", memory[1:5], None, memory[8:])
    assert memory[4:].tolist() == [0, 2, 4, 6, 1, 2, 3, 0]


def test_without_a_promise_arrays_may_overlap(launcher: EmulatorLauncher) -> None:
    memory = np.arange(5, dtype="float32")
    launch(launcher, "copy", memory[1:], memory[:4])
    assert memory.tolist() == [1, 2, 3, 4, 4]


def test_a_block_keeps_to_the_launch_bounds(launcher: EmulatorLauncher) -> None:
    x, y = np.ones(1024, "float32"), np.zeros(1024, "float32")
    launch(launcher, "half", x, y, threads=64)
    assert (y[:64] == 0.5).all()
    with pytest.raises(KernelError, match=r"half: a block of \(65, 1, 1\) has more than the 64 th"):
        launch(launcher, "half", x, y, threads=65)
    launch(launcher, "copy", x, y, threads=1024)
    assert (y == 1).all()
