"""How the autotuner times launches, on a CuPy without a GPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpucnn.ops import autotune, get_ops
from gpucnn.ops.kernels.conv_plan import FILES
from gpucnn.runtime import timing
from gpucnn.runtime.cuda import CudaLauncher


class Clock:
    """CuPy's events over a time that only work lets pass."""

    def __init__(self) -> None:
        self.now, self.log, clock = 0.0, list[str](), self

        class Event:
            def record(self) -> None:
                clock.log.append("event")
                self.at = clock.now

            def synchronize(self) -> None:
                clock.log.append("wait")

        scratch = SimpleNamespace(memset_async=lambda value, size: self.log.append("memset"))
        self.cuda = SimpleNamespace(
            Event=Event,
            alloc=lambda size: scratch,
            get_elapsed_time=lambda a, b: b.at - a.at,
            runtime=SimpleNamespace(
                getDeviceProperties=lambda index: {"name": f"GPU {index}".encode()},
                driverGetVersion=lambda: 13000,
            ),
            nvrtc=SimpleNamespace(getVersion=lambda: (13, 5)),
        )


def launcher_of(clock: Clock) -> Any:
    cupy = SimpleNamespace(cuda=clock.cuda, __version__="14.2.0")

    class Device:
        id = 1

        def __enter__(self) -> None:
            """It is the current device."""

        def __exit__(self, *_: object) -> None:
            """And stays."""

    return SimpleNamespace(cupy=cupy, device=Device())


def test_the_median_of_the_runs_and_not_the_first() -> None:
    clock, times = Clock(), iter([100.0, 3.0, 2.0, 50.0, 1.0, 4.0, 2.5, 0.5])

    def work() -> None:
        clock.log.append("work")
        clock.now += next(times)

    assert timing.milliseconds(launcher_of(clock), work) == 2.5
    # The host has a head start when the first event is recorded, and waits when all is launched.
    runs = ["work", "event"] * timing.RUNS
    assert clock.log == [
        "work",
        *["memset"] * timing.SCRATCHES,
        "event",
        *runs,
        *["wait"] * timing.RUNS,
    ]


def test_what_a_time_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = launcher_of(Clock())
    found = timing.environment(launcher, FILES)
    assert {k: v for k, v in found.items() if k != "kernels"} == {
        "gpu": "GPU 1", "driver": "13000", "cupy": "14.2.0", "nvrtc": "13.5"
    }  # fmt: skip
    assert timing.environment(launcher, FILES) == found
    monkeypatch.setattr(timing, "assemble", lambda name: "changed")
    assert timing.environment(launcher, FILES)["kernels"] != found["kernels"]


def test_there_is_nothing_to_measure_without_a_gpu() -> None:
    for device in ("cpu", "emulator"):
        ops = get_ops(device)
        assert autotune(ops) == f"autotune: nothing to measure on device {device}"
        assert getattr(ops, "tuner", None) is None


def test_on_cuda_the_plans_are_kept_beside_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = CudaLauncher.__new__(CudaLauncher)
    stand_in = launcher_of(Clock())
    opened.name, opened.dlpack_device, opened.memory = "cuda:1", (2, 1), SimpleNamespace()
    opened._cupy, opened.device = stand_in.cupy, stand_in.device
    monkeypatch.setenv("GPUCNN_CACHE", str(tmp_path))
    monkeypatch.setattr("gpucnn.ops.CudaLauncher", lambda index: opened)
    ops: Any = get_ops("cuda:1")
    assert str(tmp_path) in autotune(ops)
    assert ops.tuner.path.parent == tmp_path
