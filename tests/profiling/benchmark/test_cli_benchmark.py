"""`gpucnn benchmark`: its files, its tables, and every mistake that a user can make with it."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpucnn.cli import main
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling import ceilings
from gpucnn.profiling.benchmark.results import read_benchmark, write_benchmark
from gpucnn.profiling.pictures import can_draw
from tests.profiling.benchmark.made_up import TEXT, beside_torch, result

QUICK = ["--shapes", "own.yaml", "--repeats", "7", "--against", "none"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of shapes; ceilings are measured small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(ceilings.COPY_BYTES, "cpu", 4096)
    monkeypatch.setitem(ceilings.GEMM_SIZE, "cpu", 8)
    (tmp_path / "own.yaml").write_text(TEXT)
    return tmp_path


def test_the_files_and_the_tables(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "linear|max_pool|sgd", "--output", "out/a.json"]
    assert main(["benchmark", *QUICK, *only]) == 0
    text = capsys.readouterr().out
    for words in (
        "caches warm: on the cpu nothing empties them", "at most 8 images", "at most 7 calls a row",
        "no ratios: PyTorch was not asked for", "linear_forward", "5 timed", "out/a.json",
        "checked against reference float64, cpu float64: 4", "checked against cpu float64: 1",
    ):  # fmt: skip
        assert words in text
    if can_draw():
        assert (here / "out/a.png").read_bytes()[:4] == b"\x89PNG"
    found = read_benchmark("out/a.json")
    assert found.finished
    assert {row.method for row in found.rows} == {
        "linear_forward", "linear_backward", "max_pool2d_forward", "max_pool2d_backward",
        "sgd_update",
    }  # fmt: skip
    assert {row.sizes[0] for row in found.rows} == {5, 8, 1031}
    assert found.meta["command"] == "gpucnn " + " ".join(
        ["benchmark", *QUICK, "--only", "'linear|max_pool|sgd'", "--output", "out/a.json"]
    )
    assert {"date", "commit", "versions", "device_name", "load", "against"} <= set(found.meta)


def test_beside_pytorch(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    arguments = [*QUICK[:-2], "--only", "linear_forward"]
    assert main(["benchmark", *arguments]) == 0
    (path,) = (here / "runs/benchmark").glob("cpu-*.json")
    (row,) = json.loads(path.read_text())["rows"]
    assert row["derived"]["warm"]["torch_over_gpucnn"] > 0
    assert main(["benchmark", *arguments]) == 0
    assert len(list((here / "runs/benchmark").glob("cpu-*-2.json"))) == 1
    assert "above 1 gpucnn is faster" in capsys.readouterr().out


def test_a_wrong_result_is_a_fault(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = NumpyOps.linear_forward

    def wrong(self: Any, *args: Any, **options: Any) -> Any:
        return right(self, *args, **options) * 2

    monkeypatch.setattr(NumpyOps, "linear_forward", wrong)
    assert main(["benchmark", *QUICK, "--only", "linear_forward"]) == 1
    assert "WRONG, linear_forward fc: wrong result" in capsys.readouterr().out


def test_what_was_measured_outlives_an_interruption(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(NumpyOps, "sgd_update", interrupted)
    arguments = ["--only", "linear_forward|sgd", "--output", "a.json"]
    assert main(["benchmark", *QUICK, *arguments]) == 130
    found = read_benchmark("a.json")
    assert not found.finished
    assert [row.method for row in found.rows] == ["linear_forward"]


def test_progress_is_for_a_terminal_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", screen)
        assert main(["benchmark", *QUICK, "--only", "linear_forward"]) == 0
        assert ("1/1 linear_forward fc" in screen.getvalue()) == shown


def test_comparing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(here / "a.json", result(beside_torch("x", 1.0, 2.0)))
    write_benchmark(here / "b.json", result(beside_torch("x", 1.5, 2.0)))
    assert main(["benchmark", "--compare", "a.json", "b.json"]) == 0
    text = capsys.readouterr().out
    assert "50.0% slower" in text
    assert "1 moved, 0 did not" in text
    assert main(["benchmark", "--compare", "a.json", "a.json"]) == 0
    assert capsys.readouterr().out.startswith("0 moved, 1 did not")


BAD: list[tuple[list[str], list[str]]] = [
    (["--device", "emulator"], ["'emulator' has no times", "gpucnn profile CONFIG --device emul"]),
    (["--device", "gpu"], ["device must be cpu, cuda, cuda:N or emulator", "'gpu'"]),
    (["--device", "cuda:99"], ["'cuda:99' is not available"]),
    (["--against", "jax"], ["--against", "invalid choice", "jax"]),
    (["--shapes", "nowhere.yaml"], ["nowhere.yaml: cannot read the shapes"]),
    (["--shapes", "bad.yaml"], ["bad.yaml:1:1: convolution", "did you mean 'convolutions'"]),
    (["--only", "("], ["--only must be a regular expression", "'('"]),
    (["--only", "conv3d"], ["--only 'conv3d'", "the methods are", "linear_forward"]),
    (["--images", "0"], ["--images must be at least 1, got 0"]),
    (["--repeats", "2"], ["--repeats must be at least 7, got 2"]),
    (["--repeats", "x"], ["--repeats", "invalid int value"]),
    (["--max-seconds", "-1"], ["--max-seconds must be above 0, got -1"]),
    (["--max-bytes", "0"], ["--max-bytes must be at least 1, got 0"]),
    (["--output", "own.yaml"], ["--output must name a .json file, got 'own.yaml'"]),
    (["--output", "bad.json"], ["--output: bad.json already exists"]),
    (["--output", "only.json"], ["--output: only.png already exists"]),
    (["--compare", "bad.json"], ["--compare", "expected 2 arguments"]),
    (["--compare", "no.json", "bad.json"], ["cannot read the benchmark no.json: No such file"]),
    (["--compare", "good.json", "bad.json"], ["bad.json: not a file of gpucnn benchmark"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=lambda value: " ".join(value)[:40])
def test_a_mistake_is_one_message(
    here: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.yaml").write_text("convolution: {}")
    (here / "bad.json").write_text("{}")
    (here / "only.png").touch()
    write_benchmark(here / "good.json", result())
    before = set(here.rglob("*"))
    assert main(["benchmark", *QUICK, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpucnn: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert set(here.rglob("*")) == before


def test_pytorch_that_is_not_installed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["benchmark", *QUICK, "--against", "torch"]) == 2
    assert "pip install torch, or use --against none" in capsys.readouterr().err
    assert main(["benchmark", *QUICK[:-2], "--only", "linear_forward"]) == 0
    assert "no ratios: PyTorch is not installed" in capsys.readouterr().out


def test_the_script_is_the_command(here: Path) -> None:
    script = Path(__file__).parents[3] / "scripts" / "benchmark.py"
    done = subprocess.run(
        [sys.executable, str(script), "--repeats", "1"], capture_output=True, text=True
    )
    message = "gpucnn: error: --repeats must be at least 7, got 1\n"
    assert (done.returncode, done.stderr) == (2, message)
