"""Every check of a launch, on a launcher that records what would be launched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import DeviceError, GpucnnError, KernelError, ShapeError
from gpucnn.runtime.launch import Dim, Kernel, Launcher

TEXT = """// sample: its comment names __global__ void sample(int wrong) too
#include "common.cuh"
struct SampleParams {
    int n, c;  // two
    float scale;
};
extern "C" __global__ void __launch_bounds__(64)
sample(const scalar_t* __restrict__ x, INDEX* __restrict__ y, SampleParams p, scalar_t factor,
       uint64 seed, bool flag, int count) {}
"""
PARAMS = np.dtype([("n", "i4"), ("c", "i4"), ("scale", "f4")])


class Recorder(Launcher):
    """Launches nothing and keeps what it was given."""

    name = "emulator"
    xp = np

    def __init__(self) -> None:
        self.launches: list[tuple[Dim, Dim, list[Any], int]] = []

    def synchronize(self) -> None:
        """Nothing runs."""

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        self.launches.append((grid, block, list(args), shared_bytes))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    (tmp_path / "common.cuh").write_text("using scalar_t = SCALAR;\n")
    (tmp_path / "sample.cu").write_text(TEXT)
    return Kernel("sample", "sample", (("SCALAR", "float"), ("INDEX", "uint8")), tmp_path)


def arguments(**changes: Any) -> list[Any]:
    given = {
        "x": np.ones((2, 3), "float32"),
        "y": np.zeros(6, "uint8"),
        "p": np.array([(1, 2, 0.5)], PARAMS),
        "factor": 0.1,
        "seed": 2**64 - 1,
        "flag": True,
        "count": 6,
    }
    return list((given | changes).values())


def launch(kernel: Kernel, *, grid: Any = (1, 1, 1), block: Any = (64, 1, 1), shared_bytes: int = 0,
           **changes: Any) -> list[Any]:  # fmt: skip
    """The arguments as they were handed to the device; [] where nothing was launched."""
    recorder = Recorder()
    recorder.launch(kernel, grid, block, arguments(**changes), shared_bytes=shared_bytes)
    return recorder.launches[0][2] if recorder.launches else []


def test_a_launch_hands_over_casted_arguments(kernel: Kernel) -> None:
    x, y, p, factor, seed, flag, count = launch(kernel, y=None)
    assert x.dtype == "float32"
    assert y is None, "a null pointer"
    assert p.dtype == PARAMS
    assert factor.dtype == "float32"
    assert factor == np.float32(0.1)
    assert (seed.dtype, seed) == ("uint64", 2**64 - 1)
    assert (flag.dtype, flag) == ("bool", True)
    assert (count.dtype, count) == ("int32", 6)


def test_an_empty_grid_is_checked_and_not_launched(kernel: Kernel) -> None:
    assert launch(kernel, grid=(3, 0, 1)) == []
    with pytest.raises(DeviceError, match="float32"):
        launch(kernel, grid=(0, 1, 1), x=np.ones(6))


def unaligned(dtype: str) -> np.ndarray:
    """One number that begins at an odd address."""
    return np.zeros(16, "uint8")[1:][: np.dtype(dtype).itemsize].view(dtype)


def read_only() -> np.ndarray:
    y = np.zeros(6, "uint8")
    y.flags.writeable = False
    return y


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": [1.0, 2.0]}, DeviceError, "sample: x must be an array of device 'emulator'"),
        ({"x": np.ones(6)}, DeviceError, "x must be float32 .* got <f8"),
        ({"x": np.ones(6, ">f4")}, DeviceError, "x must be float32 in native byte order, got >f4"),
        ({"x": np.ones((4, 6), "float32")[:, ::2]}, DeviceError, r"x must be C-contiguous.*\(24"),
        ({"x": np.ones((4, 6), "float32").T}, DeviceError, "x must be C-contiguous"),
        ({"x": unaligned("float32")}, DeviceError, "x must begin at a multiple of 4 bytes"),
        ({"y": read_only()}, DeviceError, "y is written by the kernel, but is read-only"),
        ({"y": np.zeros(6, "int32")}, DeviceError, "y must be uint8"),
        ({"p": 3}, KernelError, "p must be a SampleParams struct, got int"),
        ({"p": np.zeros(2, PARAMS)}, KernelError, "p must be a SampleParams struct"),
        ({"p": np.zeros(1, [("n", "i4"), ("c", "i4")])}, KernelError, "p must be .*scale"),
        (
            {"p": np.zeros(1, [("c", "i4"), ("n", "i4"), ("scale", "f4")])},
            KernelError,
            "p must be a SampleParams struct of .*'n'.*'c'.* got .*'c'.*'n'",
        ),
        (
            {"p": np.zeros(1, [("n", "i8"), ("c", "i4"), ("scale", "f4")])},
            KernelError,
            "p must be a SampleParams struct of .*i4.* got .*i8",
        ),
        ({"factor": "0.1"}, KernelError, "factor must be a number for float32, got '0.1'"),
        ({"factor": None}, KernelError, "factor must be a number for float32, got None"),
        ({"seed": -1}, KernelError, "seed must fit into uint64, got -1"),
        ({"seed": 2**64}, KernelError, "seed must fit into uint64"),
        ({"flag": 2}, KernelError, "flag must fit into bool, got 2"),
        ({"count": 2**31}, KernelError, "count must fit into int32, got 2147483648"),
        ({"count": np.int64(-(2**31) - 1)}, KernelError, "count must fit into int32"),
        ({"count": 6.0}, KernelError, "count must be a number for int32, got 6.0"),
        ({"extra": 1}, KernelError, r"sample takes 7 arguments \(x, y, p, .*count\), got 8"),
    ],
)
def test_a_wrong_argument(
    kernel: Kernel, changes: dict[str, Any], error: type[GpucnnError], message: str
) -> None:
    with pytest.raises(error, match=message):
        launch(kernel, **changes)


def test_a_missing_argument(kernel: Kernel) -> None:
    with pytest.raises(KernelError, match=r"takes 7 arguments .* got 6"):
        Recorder().launch(kernel, (1, 1, 1), (64, 1, 1), arguments()[:-1])


@pytest.mark.parametrize(
    "sizes",
    [
        {"block": (0, 1, 1)},
        {"block": (1025, 1, 1)},
        {"block": (1, 1, 65)},
        {"block": (64, 32, 1)},
        {"grid": (-1, 1, 1)},
        {"grid": (2**31, 1, 1)},
        {"grid": (1, 65536, 1)},
        {"grid": (1, 1, 65536)},
        {"shared_bytes": -1},
        {"shared_bytes": 227 * 1024 + 1},
    ],
)
def test_sizes_beyond_the_limits(kernel: Kernel, sizes: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="sample: "):
        launch(kernel, **sizes)


def test_sizes_at_the_limits(kernel: Kernel) -> None:
    for block in ((1024, 1, 1), (4, 4, 64)):
        grid = (2**31 - 1, 65535, 65535)
        assert launch(kernel, grid=grid, block=block, shared_bytes=227 * 1024)


def test_a_number_beyond_the_type_becomes_infinite_as_on_the_cpu(kernel: Kernel) -> None:
    assert launch(kernel, factor=1e300)[3] == np.inf


def test_kernels_that_cannot_be_read(kernel: Kernel, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"kernels/sample\.cu defines no kernel other"):
        Recorder().launch(Kernel("sample", "other", kernel.macros, tmp_path), (1, 1, 1),
                          (1, 1, 1), [])  # fmt: skip
    with pytest.raises(KernelError, match=r"cannot read kernels/missing\.cu"):
        Recorder().launch(Kernel("missing", "missing", kernel.macros, tmp_path), (1, 1, 1),
                          (1, 1, 1), [])  # fmt: skip
    (tmp_path / "odd.cu").write_text('extern "C" __global__ void odd(int (*f)[3]) {}')
    with pytest.raises(KernelError, match=r"odd\.cu: cannot read the parameter"):
        Recorder().launch(Kernel("odd", "odd", kernel.macros, tmp_path), (1, 1, 1), (1, 1, 1), [])
    (tmp_path / "lost.cu").write_text('extern "C" __global__ void lost(Nowhere p) {}')
    with pytest.raises(KernelError, match="defines no struct Nowhere"):
        Recorder().launch(Kernel("lost", "lost", (), tmp_path), (1, 1, 1), (1, 1, 1),
                          [np.zeros(1, PARAMS)])  # fmt: skip
