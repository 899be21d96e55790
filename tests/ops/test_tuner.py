"""The autotuner of the convolutions, with a clock that is told what each plan takes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.kernels.conv_plan import ConvPlan, candidates, plan
from gpucnn.ops.kernels.conv_tuner import Tuner
from gpucnn.ops.kernels.convolution import params
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime.emulator import EmulatorLauncher

SHAPE = Conv2dShape.of((2, 8, 9, 9), (40, 8, 3, 3), padding=1)
FIRST = plan("conv2d_forward", SHAPE, "float32")
PLANS = list(candidates(FIRST, "float32"))
ENVIRONMENT = {"gpu": "a GPU", "driver": "13000", "kernels": "1234"}


class Bench:
    """A tuner, what it launched, and a clock that finds `fastest` faster than all others."""

    def __init__(self, folder: Path, fastest: ConvPlan = PLANS[-1], **environment: str) -> None:
        self.fastest, self.launched = fastest, list[ConvPlan]()
        self.tuner = Tuner(self.measure, {**ENVIRONMENT, **environment}, folder)

    def measure(self, work: Callable[[], None]) -> float:
        work()
        return 1.0 if self.launched[-1] == self.fastest else 2.0

    def choose(self, first: ConvPlan = FIRST, shape: Conv2dShape = SHAPE, **kw: Any) -> ConvPlan:
        return self.tuner.choose(first, shape, "float32", self.launched.append, **kw)


@pytest.mark.parametrize("fastest", PLANS)
def test_the_fastest_is_chosen_and_measured_once(tmp_path: Path, fastest: ConvPlan) -> None:
    bench = Bench(tmp_path, fastest)
    assert bench.choose() == fastest
    assert bench.launched == PLANS
    assert bench.choose() == fastest
    assert len(bench.launched) == len(PLANS)


def test_a_choice_outlives_the_process(tmp_path: Path) -> None:
    Bench(tmp_path).choose()
    again = Bench(tmp_path, fastest=FIRST)
    assert again.choose() == PLANS[-1]
    assert again.launched == []
    # Another shape is measured, and both are kept.
    other = Conv2dShape.of((2, 8, 5, 5), (40, 8, 3, 3))
    assert again.choose(plan("conv2d_forward", other, "float32"), other) != PLANS[-1]
    assert len(json.loads(again.tuner.path.read_text())["choices"]) == 2


@pytest.mark.parametrize("part", ENVIRONMENT)
def test_a_choice_holds_for_its_environment(tmp_path: Path, part: str) -> None:
    Bench(tmp_path).choose()
    other = Bench(tmp_path, FIRST, **{part: "another"})
    assert other.choose() == FIRST
    assert other.launched == PLANS


def test_two_processes_keep_each_other_s_choices(tmp_path: Path) -> None:
    one, two = Bench(tmp_path), Bench(tmp_path)
    one.choose()
    shape = Conv2dShape.of((2, 8, 5, 5), (40, 8, 3, 3))
    two.choose(plan("conv2d_forward", shape, "float32"), shape)
    assert len(json.loads(two.tuner.path.read_text())["choices"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [two.tuner.path.name]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"environment": 1}', "\0", "7",
     json.dumps({"environment": ENVIRONMENT, "choices": []}),
     json.dumps({"environment": ENVIRONMENT, "choices": {"x": 3}}),
     json.dumps({"environment": ENVIRONMENT, "choices": {
         f"conv2d_forward float32 {SHAPE}": {"TILE_M": 1000000}}})],
)  # fmt: skip
def test_a_damaged_file_is_measured_anew_and_replaced(tmp_path: Path, text: str) -> None:
    bench = Bench(tmp_path)
    bench.tuner.path.write_text(text)
    bench = Bench(tmp_path)
    assert bench.choose() == PLANS[-1]
    assert bench.launched == PLANS
    assert Bench(tmp_path).choose() == PLANS[-1]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    bench = Bench(file / "folder")
    assert bench.choose() == bench.choose() == PLANS[-1]
    assert len(bench.launched) == len(PLANS)
    assert file.read_text() == ""


def test_nothing_is_measured_where_there_is_no_choice(tmp_path: Path) -> None:
    shape = Conv2dShape.of((1, 3, 6, 6), (3, 1, 3, 3), groups=3)
    first = plan("conv2d_forward", shape, "float32")
    bench = Bench(tmp_path)
    assert bench.choose(first, shape) == first
    assert bench.launched == []
    assert list(tmp_path.iterdir()) == []


def test_a_graph_takes_what_is_known_and_measures_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.choose(measuring=False) == FIRST
    assert bench.launched == []
    bench.choose()
    assert bench.choose(measuring=False) == PLANS[-1]


def test_the_operations_launch_what_was_chosen(tmp_path: Path) -> None:
    """Whatever is chosen, the bits are those of the estimate's plan."""
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 9)).astype("float32")
    w = np.random.default_rng(1).normal(size=(40, 8, 3, 3)).astype("float32")
    launched: list[int] = []

    class Watched(EmulatorLauncher):
        def launch(self, kernel: Any, *args: Any, **options: Any) -> None:
            launched.append(int(dict(kernel.macros).get("TILE_M", 0)))
            if not self.capturing:
                super().launch(kernel, *args, **options)

    ops = KernelOps(Watched())

    def passes() -> list[bytes]:
        y = ops.conv2d_forward(x, w, padding=1)
        dx = ops.conv2d_backward_input(y, w, x.shape, padding=1)
        return [a.tobytes() for a in (y, dx, ops.conv2d_backward_weight(y, x, w.shape, padding=1))]

    expected = passes()

    def large(work: Callable[[], None]) -> float:
        work()
        return 1.0 if launched[-1] == 128 else 2.0

    ops.tuner = Tuner(large, ENVIRONMENT, tmp_path)
    assert passes() == expected
    launched.clear()
    assert passes() == expected
    assert set(launched[:2]) == {128}
    launched.clear()
    # While a graph is captured, a pass is launched once, as the estimate says.
    ops.launcher.capturing, ops.tuner = True, Tuner(large, ENVIRONMENT, tmp_path / "empty")
    ops._run(FIRST, SHAPE, [x, w, None, x, params(SHAPE), False], x.dtype)
    assert launched == [dict(FIRST.macros)["TILE_M"]]
