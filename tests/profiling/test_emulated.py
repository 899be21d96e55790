"""Profiles of the emulator: what it counted, predicted times, and kernels made slow on purpose."""

import io
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gpucnn.errors import DeviceError
from gpucnn.layers import Flatten, Linear, Relu, Sequential
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.profiling import static
from gpucnn.profiling.access import LineAccess, faulty
from gpucnn.profiling.counting import Counted, CountingObserver, source_texts
from gpucnn.profiling.emulated import laid_out, predict_spans, predict_training
from gpucnn.profiling.emulated_memory import counted_arrays
from gpucnn.profiling.files import ProfileFolder, lines_to_csv, read_profile, to_csv
from gpucnn.profiling.gpus import find_gpu
from gpucnn.profiling.predict import Counts
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.sizes import Shaped
from gpucnn.profiling.spans import Call, Frame, Launch, Span
from gpucnn.profiling.tables import print_profile
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import kernels_folder
from tests.profiling.test_predict import TOY
from tests.training.helpers import CLASSES, SHAPE, problem, trainer

BATCH, HIDDEN = 8, 32


@pytest.fixture(autouse=True)
def without_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    """To compile for a GPU takes seconds, and tests/profiling/test_static.py does it."""

    def missing(*_: object) -> None:
        raise DeviceError("NVRTC is not installed: pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(static, "report", missing)


def predicted(folder: Path | None = None, steps: int = 1) -> Profile:
    ops = KernelOps(EmulatorLauncher(folder, checked=True))
    model = Sequential([Flatten(), Linear(units=HIDDEN), Relu(), Linear(units=CLASSES)])
    model.build(SHAPE, ops, 7)
    run = trainer(ops, model=model, batches=problem(4 * BATCH, BATCH), epochs=1)
    profile, _ = predict_training(run, find_gpu("h200"), steps, {"config": "a config"})
    assert run.progress.iteration == steps
    return profile


@cache
def unchanged() -> Profile:
    return predicted()


def printed(profile: Profile) -> str:
    out = io.StringIO()
    print_profile(Console(file=out), profile)
    return out.getvalue()


def changed(folder: Path, file: str, *replacements: tuple[str, str]) -> Path:
    """A copy of the kernels with each text replaced where it stands, once."""
    copy = folder / "kernels"
    shutil.copytree(kernels_folder(), copy)
    text = (copy / file).read_text()
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (copy / file).write_text(text)
    return copy


def lines_of(profile: Profile, kernel: str) -> list[LineAccess]:
    return [line for line in faulty(profile.lines) if line.kernel == kernel]


def test_uncoalesced_loads_are_named_with_their_line(tmp_path: Path) -> None:
    slow = "finite = finite && a[i * 33 % count] - a[i * 33 % count] == scalar_t(0);"
    folder = changed(
        tmp_path, "all_finite.cu", ("finite = finite && a[i] - a[i] == scalar_t(0);", slow)
    )
    assert not lines_of(unchanged(), "all_finite_partial")
    profile = predicted(folder)
    line = lines_of(profile, "all_finite_partial")[0]
    assert (line.fault, line.text) == ("uncoalesced", slow)
    number = (folder / "all_finite.cu").read_text().splitlines().index(f"        {slow}") + 1
    assert line.place == f"kernels/all_finite.cu:{number}"
    assert line.per_request > 25
    text = printed(profile)
    assert f"  {line.place}\n      {slow}\n" in text
    assert "UNCOALESCED" in text


def test_bank_conflicts_are_named_with_their_line(tmp_path: Path) -> None:
    slow = "lanes[threadIdx.x][threadIdx.y] = sum;"
    folder = changed(
        tmp_path,
        "linear_backward.cu",
        ("lanes[8][32];", "lanes[32][32];"),
        ("lanes[threadIdx.y][threadIdx.x] = sum;", slow),
        ("lanes[lane][threadIdx.x];", "lanes[threadIdx.x][lane];"),
    )
    assert not lines_of(unchanged(), "linear_backward_bias")
    profile = predicted(folder)
    store, load = sorted(lines_of(profile, "linear_backward_bias"), key=lambda a: a.access)[::-1]
    assert (store.fault, store.text, store.access) == ("bank conflicts", slow, "store")
    number = (folder / "linear_backward.cu").read_text().splitlines().index(f"    {slow}") + 1
    assert store.place == f"kernels/linear_backward.cu:{number}"
    assert (store.per_request, store.least_per_request) == (32, 1)
    assert (load.access, load.fault) == ("load", "bank conflicts")
    assert f"  {store.place}\n      {slow}\n" in printed(profile)


def test_a_kernels_bytes_are_those_of_its_arrays() -> None:
    (relu,) = [row for row in unchanged().traffic if row.kernel == "relu_forward"]
    size = 4 * BATCH * HIDDEN
    assert relu == type(relu)("relu_forward", 1, size, size, size, size)
    assert relu.excess == 1


def test_figures_are_those_of_one_step() -> None:
    one, two = unchanged(), predicted(steps=2)
    assert [(t.kernel, t.launches) for t in one.traffic] == [
        (t.kernel, t.launches) for t in two.traffic
    ]
    assert one.lines == two.lines
    assert [(m.layer, m.kept_bytes) for m in one.memory] == [
        (m.layer, m.kept_bytes) for m in two.memory
    ]
    assert (len(two.step_ms), two.meta["steps"]) == (2, 2)


def test_what_ran_before_does_not_count() -> None:
    launcher = EmulatorLauncher(checked=True)
    ops, a = KernelOps(launcher), np.ones((4, 100), "float32")
    ops.relu_forward(a)
    counter = CountingObserver(launcher)
    ops.relu_forward(a)
    frame = Frame("step", "step")
    counter.enter(frame)
    launch = Launch(Kernel("relu_forward", "relu_forward", ()), (1, 1, 1), (256, 1, 1), 0)
    counter.exit(Frame("kernel", "relu_forward", launch=launch))
    counter.exit(frame)
    (found,) = counter.launches
    assert (found.counts.moved, found.counts.least, found.asked) == (3200, 3200, 3200)
    assert [(t.launches, t.loaded, t.stored) for t in counter.traffic()] == [(1, 1600, 1600)]
    assert sum(line.bytes for line in counter.lines()) == 3200


def test_memory_is_that_of_the_arrays() -> None:
    found = {(m.layer, m.phase): m for m in unchanged().memory}
    inputs, hidden = 4 * BATCH * (16 + 1), 4 * BATCH * HIDDEN  # images and labels
    # Parameters, and the gradients' arena with each segment up to a multiple of 64.
    held = 4 * (16 * HIDDEN + HIDDEN + CLASSES * HIDDEN + CLASSES) + 4 * (512 + 64 + 128 + 64)
    first, relu = (found[f"model.layers.{i}", "forward"] for i in (1, 2))
    assert (first.peak_bytes, first.kept_bytes) == (held + inputs + hidden, hidden)
    assert (relu.peak_bytes, relu.kept_bytes) == (held + inputs + 2 * hidden, hidden)
    assert "MiB at most, in 1 linear backward" in printed(unchanged())


def test_an_array_counts_once_and_until_it_is_gone() -> None:
    launcher = EmulatorLauncher(checked=True)
    plain = launcher.xp
    with counted_arrays(launcher, 1000) as counted:
        a = launcher.xp.empty((10,), "float32")
        assert launcher.xp.asarray(a) is a
        b = launcher.xp.zeros((5,), "float64")
        assert counted.read() == (1080, 1080)
        view = a[2:]
        del a, b
        assert counted.read() == (1040, 1080)
        del view
        assert counted.read() == (1000, 1040)
        host = np.ones(3, "float32")
        assert launcher.xp.asarray(host) is host
        assert counted.read() == (1012, 1012)
    assert launcher.xp is plain


def test_every_time_is_the_models_and_says_so() -> None:
    profile = unchanged()
    assert profile.predicted
    assert (profile.meta["gpu"], profile.meta["arch"]) == ("NVIDIA H200 SXM", "sm_90")
    assert profile == predicted(), "no clock has a part in it"
    # Nothing here is larger than its launch.
    launches = sum(row.calls for row in profile.kernels) + sum(
        row.calls for row in profile.methods if row.method == "set_grad"
    )
    assert profile.step_ms == pytest.approx([0.005 * launches])
    assert profile.best_ms == profile.step_ms == profile.worst_ms
    assert {row.limit for row in (*profile.layers, *profile.kernels, *profile.calls)} == {"launch"}
    assert (profile.gap_ms, profile.waits, profile.plain_ms) == (0, (), ())
    text = printed(profile)
    for words in ("PREDICTED times, for NVIDIA H200 SXM", "predicted ms", "assumed: left out",
                  "pip install nvidia-cuda-nvrtc", "Global memory by kernel"):  # fmt: skip
        assert words in text
    assert "quartiles" not in text
    assert "gap ms" not in text


def test_the_files_say_that_it_is_a_prediction(tmp_path: Path) -> None:
    profile, folder = unchanged(), ProfileFolder(tmp_path)
    folder.write(profile)
    assert read_profile(tmp_path) == profile
    assert json.loads(folder.json.read_text())["predicted"] is True
    rows = to_csv(profile).splitlines()
    assert {row.split(",")[1] for row in rows[1:]} == {"1"}
    assert folder.lines.read_text() == lines_to_csv(profile.lines)
    assert len(folder.lines.read_text().splitlines()) == len(profile.lines) + 1


def test_texts_of_places() -> None:
    text, caller = source_texts("kernels/vector.cuh:1 (from kernels/add.cu:1)")
    assert text == (kernels_folder() / "vector.cuh").read_text().splitlines()[0]
    assert caller == (kernels_folder() / "add.cu").read_text().splitlines()[0]
    for place in ("an unknown line", "kernels/none.cu:1", "kernels/add.cu:99999"):
        assert source_texts(place) == ("", "")


def spans() -> list[Span]:
    """A step with a linear_backward of two kernels, a fill, and a copy from the host."""
    launch = Launch(Kernel("k", "k", ()), (1000, 1, 1), (32, 1, 1), 0)
    x, w, dy = Shaped((500, 1000), 4), Shaped((10, 1000), 4), Shaped((500, 10), 4)
    call = Call((dy, x, w), {}, (x, w, Shaped((10,), 4)))
    big = Shaped((MEGA,), 4)

    def span(kind: str, name: str, parent: int, **more: object) -> Span:
        return Span(kind, name, "", "update", 0, 7, 9, parent, **more)  # type: ignore[arg-type]

    return [
        span("step", "step", -1),
        span("method", "linear_backward", 0, call=call),
        span("kernel", "a", 1, launch=launch),
        span("kernel", "b", 1, launch=launch),
        span("method", "zeros", 0, call=Call(((MEGA,), np.float32), {}, big)),
        span("method", "asarray", 0, call=Call((None,), {}, big)),
    ]


MEGA = 10**6


def test_a_methods_flops_are_shared_out_by_the_bytes_asked_for() -> None:
    none = Counts(1000, 0.0, 0, 0, 0)
    found = predict_spans(spans(), [Counted(none, 3000), Counted(none, 1000)], TOY)
    flops = 4 * 500 * 1000 * 10 + 500 * 10
    assert found[2].likely == round(0.75 * flops / 1000) > 5000
    assert found[3].likely == round(0.25 * flops / 1000) >= 5000
    assert found[3].limit == "compute"
    assert found[4].likely == round(4 * MEGA / 100)
    assert set(found) == {2, 3, 4}, "a copy from the host is left out"


def test_predicted_time_goes_on_from_span_to_span() -> None:
    timed = laid_out(spans(), {2: 10, 3: 20, 4: 30})
    assert [(s.start_ns, s.end_ns) for s in timed] == [
        (0, 60), (0, 30), (0, 10), (10, 30), (30, 60), (60, 60),
    ]  # fmt: skip
    assert [s.device for s in timed] == [(0, 60), None, (0, 10), (10, 30), (30, 60), None]


def test_no_row_is_broken_on_a_narrow_terminal() -> None:
    (row,) = [row for row in unchanged().kernels if row.kernel == "linear_forward"]
    (moved,) = [row for row in unchanged().traffic if row.kernel == "linear_forward"]
    name = "batch_norm2d_forward_statistics"
    profile = replace(
        unchanged(),
        kernels=(replace(row, kernel=name, registers=255, occupancy=1.0),),
        traffic=(replace(moved, kernel=name, loaded=999_400_000, least_stored=10_000_000),),
        lines=(),
    )
    out = io.StringIO()
    print_profile(Console(file=out, width=80, force_terminal=True, color_system=None), profile)
    lines = [line for line in out.getvalue().splitlines() if name in line]
    assert len(lines) == 2
    assert all(len(line.split()) >= 6 and len(line) <= 80 for line in lines)
