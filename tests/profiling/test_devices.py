"""Clocks, ceilings, memory and resources of a device; on cuda, against a stand-in for cupy."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import gpucnn
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling import ceilings as module
from gpucnn.profiling import devices
from gpucnn.profiling.ceilings import ceilings, measure
from gpucnn.profiling.clocks import CudaClock
from gpucnn.profiling.memory import CudaMeter, HostMeter, MemoryObserver
from gpucnn.profiling.spans import Frame, Launch
from gpucnn.runtime import cuda_checks
from gpucnn.runtime.launch import Kernel
from tests.profiling.fake_cuda import ProfiledCupy
from tests.profiling.runs import Ticks, observed, training


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ProfiledCupy:
    fake = ProfiledCupy()
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cuda_checks, "DISTRIBUTIONS", ())
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def test_the_device_clock_is_on_the_hosts_axis(cupy: ProfiledCupy) -> None:
    clock = CudaClock(cupy, Ticks(step=7))
    cupy.clock = 500.0
    clock.begin()
    cupy.clock = 500.25
    first = clock.mark()
    cupy.clock = 501.5
    marks = [first, clock.mark()]
    waits = cupy.synchronized
    assert clock.resolve(marks) == [7 + 250_000, 7 + 1_500_000]
    assert cupy.synchronized == waits == 1, "only begin waits"
    clock.wait()
    assert cupy.synchronized == 2


def test_what_a_cuda_device_is(cupy: ProfiledCupy) -> None:
    found = devices.describe(gpucnn.get_ops("cuda:1"))
    assert (found["device"], found["device_name"], found["arch"]) == (
        "cuda:1", "NVIDIA Fake 1", "sm_90",
    )  # fmt: skip
    assert found["versions"]["cuda_driver"] == "13000"
    assert isinstance(devices.device_clock(gpucnn.get_ops("cuda")), CudaClock)


@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_what_the_host_is(device: str) -> None:
    found = devices.describe(gpucnn.get_ops(device))
    assert (found["device"], found["versions"]["numpy"]) == (device, np.__version__)
    assert found["device_name"]
    assert devices.device_clock(gpucnn.get_ops(device)) is None


def test_registers_shared_memory_and_occupancy(cupy: ProfiledCupy) -> None:
    kernel = Kernel("relu_forward", "relu_forward", (("SCALAR", "float"),))
    launch = Launch(kernel, (1, 1, 1), (256, 1, 1), 2048)
    # 40 registers: 1280 a warp, 51 of which are given out in fours: 48; 6 blocks of 8 of 64 warps.
    assert devices.resources(gpucnn.get_ops("cuda"), launch) == {
        "registers": 40, "shared_bytes": 3072, "occupancy": 0.75,
    }  # fmt: skip
    assert devices.resources(gpucnn.get_ops("emulator"), launch) == {}


def test_ceilings_of_a_gpu(cupy: ProfiledCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.COPY_BYTES, "cuda", 4000)
    monkeypatch.setitem(module.GEMM_SIZE, "cuda", 10)
    found = measure(gpucnn.get_ops("cuda"), "now")
    # 4000 bytes read and written in 2 ms; 2·10³ FLOP in 4 ms.
    assert found.copy_gb_s == pytest.approx(8000 / 2e-3 / 1e9)
    assert found.gemm_tflops == pytest.approx(2000 / 4e-3 / 1e12)
    assert (found.device, found.source) == ("NVIDIA Fake 0", "now")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.COPY_BYTES, "cpu", 4096)
    monkeypatch.setitem(module.GEMM_SIZE, "cpu", 8)


@pytest.mark.usefixtures("small")
def test_ceilings_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ceilings(NumpyOps(), tmp_path)
    assert first is not None
    assert first.copy_gb_s > 0
    assert first.gemm_tflops > 0
    monkeypatch.setattr(module, "measure", None)
    assert ceilings(NumpyOps(), tmp_path) == first
    (file,) = tmp_path.iterdir()
    assert str(file) in first.source


@pytest.mark.usefixtures("small")
def test_the_home_folder_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the screen nor in a profile, nor out of a file that a version before wrote."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GPUCNN_CACHE", raising=False)
    first = ceilings(NumpyOps())
    assert first is not None
    (file,) = (tmp_path / ".cache/gpucnn/ceilings").iterdir()
    assert first.source.endswith(f"kept in ~/.cache/gpucnn/ceilings/{file.name}")
    assert str(tmp_path) not in file.read_text()
    file.write_text(file.read_text().replace("~/", f"{tmp_path}/"))
    assert ceilings(NumpyOps()) == first


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"copy_gb_s": 1}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, damage: str) -> None:
    ceilings(NumpyOps(), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(damage)
    found = ceilings(NumpyOps(), tmp_path)
    assert found is not None
    assert json.loads(file.read_text())["gemm_tflops"] == found.gemm_tflops


@pytest.mark.usefixtures("small")
def test_another_version_is_another_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceilings(NumpyOps(), tmp_path)
    monkeypatch.setattr(np, "__version__", "9.9")
    ceilings(NumpyOps(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_emulator_has_no_ceilings(tmp_path: Path) -> None:
    assert ceilings(gpucnn.get_ops("emulator"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


class Readings:
    """A meter that was read these (held, peak) bytes, one after the other."""

    def __init__(self, *readings: tuple[int, int]) -> None:
        self.readings = list(readings)
        self.on = False

    def start(self) -> None:
        self.on = True

    def stop(self) -> None:
        self.on = False

    def read(self) -> tuple[int, int]:
        assert self.on
        return self.readings.pop(0)


def test_memory_counts_for_the_innermost_frame() -> None:
    meter = Readings(
        (10, 10),  # the step begins
        (10, 12),  # the model
        (15, 20),  # the layer begins after 5 bytes more
        (25, 90),  # and ends with 10 more, 90 at most
        (27, 40),  # the model ends
        (27, 95),  # the step ends
    )
    observer = MemoryObserver(meter)
    step, model = Frame("step", "step"), Frame("layer", "m", "model", "forward")
    layer, kernel = Frame("layer", "a", "model.layers.0", "forward"), Frame("kernel", "k")
    for frame in (step, model, layer, kernel):
        observer.enter(frame)
    for frame in (kernel, layer, model, step):
        observer.exit(frame)
    assert {(r.layer, r.phase): (r.peak_bytes, r.kept_bytes) for r in observer.rows()} == {
        ("model", "forward"): (40, 7),
        ("model.layers.0", "forward"): (90, 10),
    }
    assert not meter.on


def test_what_a_layer_keeps_and_gives_back() -> None:
    observer = MemoryObserver(HostMeter(base=1 << 30))
    run = training(NumpyOps(), steps=2)
    observed(run, observer)
    rows = {(row.layer, row.phase): row for row in observer.rows()}
    # Two images' worth of 6 · 2 · 4 · 4 floats stay: conv2d's output, for the residual.
    kept = rows["model.layers.0", "forward"].kept_bytes
    assert kept >= 2 * 6 * 2 * 4 * 4 * 4
    assert rows["model.layers.0", "backward"].peak_bytes > 1 << 30


def test_the_peak_between_two_reads_of_the_pool(cupy: ProfiledCupy) -> None:
    meter = CudaMeter(cupy)
    cupy.allocate(100)
    meter.start()
    cupy.allocate(50)
    cupy.pooled -= 120
    assert meter.read() == (30, 150)
    assert meter.read() == (30, 30)
    cupy.allocate(5)
    assert meter.read() == (35, 35)
    meter.stop()
    assert cupy.hooks == []
