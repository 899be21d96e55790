"""NVTX ranges: named by layer, pass, method and kernel, and nested as those are."""

from pathlib import Path
from typing import Any

import pytest

from gpucnn import build
from gpucnn.errors import ConfigError
from gpucnn.ops import get_ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.profiling.nvtx import NvtxRanges, layer_of, nvtx_ranges
from gpucnn.profiling.steps import run_steps
from gpucnn.runtime.emulator import EmulatorLauncher
from tests import build_runs
from tests.profiling.runs import observed, training
from tests.training.helpers import trainer


class FakeNvtx:
    """cupy.cuda.nvtx, which writes every range down as the path of those around it."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.seen: list[tuple[str, ...]] = []

    def RangePush(self, message: str, id_color: int = -1) -> None:
        self.open.append(message)
        self.seen.append(tuple(self.open))

    def RangePop(self) -> None:
        self.open.pop()


def test_the_ranges_of_a_step() -> None:
    nvtx = FakeNvtx()
    observed(training(KernelOps(EmulatorLauncher()), steps=1), NvtxRanges(nvtx))
    assert nvtx.open == []
    seen = nvtx.seen
    assert seen[:2] == [("step",), ("step", "next batch")]
    model, conv = "model sequential forward", "model.layers.0 conv2d forward"
    forward = ("step", model, conv, "conv2d_forward")
    assert {forward[:2], forward[:3], forward, (*forward, "conv2d_forward_direct")} <= set(seen)
    inner = "model.layers.1.residual.body.0 conv2d backward"
    assert any(path[-2:] == (inner, "conv2d_backward_weight") for path in seen)
    assert ("step", "softmax_cross_entropy", "softmax_cross_entropy_reduce") in seen
    assert ("step", "sgd_update", "sgd_update") in seen


def test_only_the_steps_that_count_have_ranges() -> None:
    nvtx = FakeNvtx()
    run = trainer(get_ops("cpu"))
    run_steps(run, 2, 3, NvtxRanges(nvtx))
    assert (nvtx.seen.count(("step",)), run.progress.iteration) == (3, 5)
    assert (run.callbacks, run.progress.stop) == ([], "profiled")


def test_a_range_ends_where_an_error_ends_the_run() -> None:
    nvtx, run = FakeNvtx(), training(get_ops("cpu"))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    run.model.layers[3].forward = broken  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="broken"):
        observed(run, NvtxRanges(nvtx))
    assert nvtx.open == []


def test_a_layers_range_can_be_read_back() -> None:
    assert layer_of("model.layers.0 conv2d forward") == ("model.layers.0", "conv2d", "forward")
    assert layer_of("conv2d_forward") is None
    assert layer_of("next batch") is None


def test_other_devices_have_no_ranges() -> None:
    with pytest.raises(ConfigError, match="the device cpu runs nothing that they see"):
        nvtx_ranges(get_ops("cpu"))


def test_cupys_module_takes_them() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")
    observed(training(get_ops("cpu"), steps=1), NvtxRanges(cupy.cuda.nvtx))


def test_a_run_with_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvtx = FakeNvtx()
    monkeypatch.setattr(build.run, "draw_curves", lambda metrics, picture: False)
    monkeypatch.setattr(build.run, "nvtx_ranges", lambda ops: NvtxRanges(nvtx))
    build_runs.run(tmp_path / "run", "train.epochs=1", nvtx=True)
    # 32 images in batches of 9.
    assert nvtx.seen.count(("step",)) == 4
    assert nvtx.open == []


def test_ranges_and_samples_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--nvtx and --profile-every cannot be given together"):
        build_runs.run(tmp_path / "run", nvtx=True, profile_every=2)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_gpu_has_no_ranges(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use it with --device cuda"):
        build_runs.run(tmp_path / "run", nvtx=True)
    assert not (tmp_path / "run").exists()
