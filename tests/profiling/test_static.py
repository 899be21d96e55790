"""Registers and occupancy of kernels for a GPU that is not there."""

import pytest

from gpucnn.errors import DeviceError
from gpucnn.profiling import static
from gpucnn.profiling.spans import Launch
from gpucnn.profiling.static import StaticReport
from gpucnn.runtime import nvrtc
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.report import occupancy

KERNEL = Kernel("add", "add", (("SCALAR", "float"),))


def launch(kernel: Kernel) -> Launch:
    return Launch(kernel, (4, 1, 1), (64, 4, 1), 1024)


def test_what_a_kernel_takes() -> None:
    try:
        nvrtc.find()
    except DeviceError as error:
        pytest.skip(str(error))
    report = StaticReport([KERNEL], "sm_90")
    assert not report.missing
    found = report.resources(launch(KERNEL))
    assert 0 < found["registers"] <= 255
    assert (found["spilled_bytes"], found["shared_bytes"]) == (0, 1024)
    assert found["occupancy"] == occupancy("sm_90", 256, found["registers"], 1024)
    assert report.resources(launch(Kernel("add", "other", KERNEL.macros))) == {}


def test_without_nvrtc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise DeviceError("NVRTC is not installed: pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(static, "report", missing)
    report = StaticReport([KERNEL], "sm_90")
    assert "pip install nvidia-cuda-nvrtc" in report.missing
    assert report.resources(launch(KERNEL)) == {}
