"""`gpucnn profile`: its files, its tables, and every mistake that a user can make with it."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from gpucnn.cli import main
from gpucnn.profiling import ceilings as module
from gpucnn.profiling import outputs, page, static
from gpucnn.profiling.files import read_profile
from gpucnn.profiling.labels import figure, variant_label
from gpucnn.profiling.run import Plan
from gpucnn.profiling.tables import print_profile
from gpucnn.training.run_folder import RunFolder
from tests.profiling.test_profile_files import profile

TEXT = """\
data: {name: synthetic, samples: 40, classes: 3, image: [1, 6, 6], batch_size: 8}
model:
  input: [1, 6, 6]
  layers:
    - conv2d: {filters: 4, kernel_size: 3, padding: 1}
    - relu
    - residual: {body: [{conv2d: {filters: 4, kernel_size: 1}}]}
    - flatten
    - linear: {units: 3}
optimizer: {sgd: {lr: 0.1}}
train: {ema: 0.9, clip_norm: 5.0}
"""


WORDS = (
    "tiny.yaml on cpu", "batch 8: 3 steps after 3", "0 conv2d", "2.body.0 conv2d",
    "conv2d_backward_weight", "data wait", "MiB at most", "files in out",
)  # fmt: skip
FIRST = ("model.layers.0", "conv2d_forward")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.yaml; ceilings are measured small, and kept here; nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUCNN_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(module.COPY_BYTES, "cpu", 4096)
    monkeypatch.setitem(module.GEMM_SIZE, "cpu", 8)
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    for draws in (outputs, page):
        monkeypatch.setattr(draws, "can_draw", lambda: False)
    (tmp_path / "tiny.yaml").write_text(TEXT)
    return tmp_path


def test_the_files_and_the_tables(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    monkeypatch.setattr(outputs, "can_draw", lambda: True)
    assert main(["profile", "tiny.yaml", "--steps", "3", "--output", "out"]) == 0
    text = capsys.readouterr().out
    for words in WORDS:
        assert words in text
    assert sorted(os.listdir(here / "out")) == [
        "profile.csv", "profile.html", "profile.json", "roofline.png", "time_by_layer.png",
        "trace.json",
    ]  # fmt: skip
    found = read_profile(here / "out")
    assert (len(found.step_ms), len(found.plain_ms)) == (3, 5)
    assert found.accounted == pytest.approx(1, abs=0.05)
    assert {"clip_by_global_norm", "sgd_update"} <= {r.method for r in found.methods}
    assert found.meta["batch_size"] == 8
    assert found.meta["command"] == "gpucnn profile tiny.yaml --steps 3 --output out"
    assert max(row.peak_bytes for row in found.memory) > 0
    # 8 · 4 · 36 outputs of 9 products each, their biases and ReLU.
    (forward,) = [r for r in found.calls if (r.layer, r.method) == FIRST]
    assert forward.flops == 2 * 8 * 4 * 36 * 9 + 2 * 8 * 4 * 36


def test_the_default_folder_is_beside_the_run(here: Path) -> None:
    assert main(["profile", "tiny.yaml", "--steps", "1", "--set", "data.batch_size=4"]) == 0
    assert read_profile(here / "runs/tiny/profile").meta["batch_size"] == 4
    RunFolder("runs/tiny").check_free()


def test_the_script_is_the_command(here: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "profile_kernels.py"
    done = subprocess.run(
        [sys.executable, str(script), "tiny.yaml", "--steps", "0"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        2, "gpucnn: error: --steps must be at least 1, got 0\n",
    )  # fmt: skip


def test_on_the_emulator_times_are_predicted(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "report", lambda builds, archs: [])
    emulator = ["profile", "tiny.yaml", "--device", "emulator"]
    assert main([*emulator, "--gpu", "rtx4090", "--output", "out"]) == 0
    text = capsys.readouterr().out
    assert "PREDICTED times, for NVIDIA GeForce RTX 4090" in text
    assert "kernels/conv2d_forward.cu:" in text
    assert sorted(os.listdir(here / "out")) == [
        "lines.csv", "profile.csv", "profile.html", "profile.json", "trace.json",
    ]  # fmt: skip
    assert 'no roofline.png and time_by_layer.png: they need matplotlib, pip install "gpu' in text
    found = read_profile(here / "out")
    assert found.predicted
    assert {"conv2d_forward_direct", "sgd_update"} <= {row.kernel for row in found.kernels}
    assert found.ceilings is not None
    assert found.ceilings.copy_gb_s == 1008


def test_made_up_images_stand_in_for_data_that_are_not_there(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mnist = ["--set", "data={name: mnist, root: nowhere, download: true}"]
    config = [*mnist, "--set", "model.input=[1, 28, 28]", "--set", "model.layers.4.linear.units=10"]
    assert main(["profile", "tiny.yaml", *config, "--steps", "1"]) == 2
    message = capsys.readouterr().err
    assert "nowhere" in message
    assert "--synthetic" in message
    assert sorted(os.listdir(here)) == ["tiny.yaml"], "nothing is downloaded or written"
    assert main(["profile", "tiny.yaml", *config, "--steps", "1", "--synthetic"]) == 0
    meta = read_profile(here / "runs/tiny/profile").meta
    assert (meta["data"], meta["batch_size"]) == ("synthetic", 64)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], ["--steps must be at least 1, got 0"]),
        (["--steps", "many"], ["--steps", "invalid int value: 'many'"]),
        (["--device", "gpu"], ["device", "cpu, cuda, cuda:N, emulator or auto", "gpu"]),
        (["--device", "cuda:99"], ["'cuda:99' is not available"]),
        (["--gpu", "h200"], ["--gpu h200", "--device emulator", "measure on cpu"]),
        (["--gpu", "h300", "--device", "emulator"], ["--gpu must be one of h200", "'h300'"]),
        (["--nvtx"], ["--nvtx", "the device cpu", "--device cuda"]),
        (["--nvtx", "--device", "emulator"], ["the device emulator", "--device cuda"]),
        (["--output", "full"], ["output full already holds a profile", "--output"]),
        (["--output", "tiny.yaml"], ["output tiny.yaml cannot be a folder"]),
        (["--set", "model.layers=[]"], ["model.layers"]),
        (["--set", "model.layers=[flatten]"], ["3 classes", "linear: {units: 3}"]),
        (
            ["--set", "model.layers=[{max_pool2d: {kernel_size: 6}}]", "--synthetic"],
            ["--synthetic needs a model with two or more outputs", "(1, 1, 1)"],
        ),
        (
            ["--set", "data.batch_size=all", "--synthetic"],
            ["--synthetic cannot know how many", "--set data.batch_size=64"],
        ),
        (["--set", "data.nmae=x"], ["nmae"]),
        (["--set", "data.batch_size=0"], ["data.batch_size"]),
        (["--set", "optimizer={sgd: {lr: 1e30}}"], ["NaN or Inf"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_a_mistake_is_one_message(
    here: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "full").mkdir()
    (here / "full/profile.json").write_text("{}")
    before = {p for p in here.rglob("*") if "cache" not in p.parts}
    status = main(["profile", "tiny.yaml", *arguments])
    error = capsys.readouterr().err
    assert status == (1 if "NaN or Inf" in words else 2)
    assert error.startswith("gpucnn: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert {p for p in here.rglob("*") if "cache" not in p.parts} == before


def test_a_wrong_interval_of_samples_is_one_message(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "tiny.yaml", "--profile-every", "0"]) == 2
    assert "--profile-every must be an integer of at least 1, got 0" in capsys.readouterr().err
    assert os.listdir(here) == ["tiny.yaml"]


def test_auto_says_what_it_chose(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "tiny.yaml", "--steps", "1", "--device", "auto"]) == 0
    assert "(auto: " in capsys.readouterr().out


def test_the_plan() -> None:
    assert Plan.of("cpu").total == 3 + 5 + 20 + 1
    assert Plan.of("emulator").steps == 1
    assert Plan.of("cuda:1", 7).steps == 7


def printed(width: int, *, terminal: bool = True) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    print_profile(console, profile())
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 160])
def test_no_row_is_broken_or_cut(width: int) -> None:
    lines = printed(width)
    rows = [line for line in lines if re.match(r" \S.* \d+\.\d{3} ", line)]
    found = profile()
    assert len(rows) >= len(found.layers) + len(found.methods) - 4, "some are summed up"
    assert max(map(len, rows)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for name in (" conv2d_backward_weight ", " 1.body.0 conv2d ", " update "):
        assert name in text
    assert ("FLOP/B" in text) == (width == 160)


def test_a_file_has_every_column_and_no_broken_row() -> None:
    text = "\n".join(printed(20, terminal=False))
    assert "FLOP/B" in text
    assert " 1.body.0 conv2d " in text
    assert printed(20, terminal=False) == printed(60, terminal=False)


def test_the_gaps_are_summed_up_by_kind() -> None:
    found = profile()
    line = next(line for line in printed(160) if line.startswith("gaps "))
    numbers = [float(word.rstrip(",")) for word in re.findall(r"\d+\.\d+,?", line)]
    assert numbers[0] == pytest.approx(found.gap_ms, abs=0.001)
    assert sum(numbers[1:]) == pytest.approx(found.gap_ms, abs=0.003)
    for kind in ("data wait", "between methods", "inside of methods", "outside of the layers"):
        assert f" {kind} " in line
        assert found.gap_kinds[kind] > 0


def test_a_wait_is_told_in_words() -> None:
    assert any(line.startswith("the host waits for the device: update, to_numpy: ")
               for line in printed(160))  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0001, "<0.001"), (0.0234, "0.023"), (1.234, "1.23"), (12.34, "12.3"),
     (1234.5, "1,234")],
)  # fmt: skip
def test_figures(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_variant_in_short() -> None:
    tile = "float TILE_M=32 TILE_N=64 TILE_K=8 THREAD_M=4 THREAD_N=4"
    assert variant_label(tile) == "float 32x64x8 4x4"
    assert variant_label("double ARGMAX=int") == "double ARGMAX=int"
    assert variant_label("") == ""
