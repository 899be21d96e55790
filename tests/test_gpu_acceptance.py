"""scripts/gpu_acceptance.py on an emulated GPU (tests/emulated_cupy): figures need a real one."""

import json
import os
import subprocess
import sys
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gpucnn.ops.base import Ops
from tests.conftest import DEVICES

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "gpu_acceptance.py"
EMULATED = ROOT / "tests" / "emulated_cupy"


def start(*arguments: str, emulated: bool = False) -> subprocess.CompletedProcess[str]:
    path = [str(ROOT), *[str(EMULATED)] * emulated]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's own modules, by the names that it knows them by."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("acceptance") / "new" / "report.json"
    done = start("--device", "cuda", "--quick", "--output", str(path), emulated=True)
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = json.loads(path.read_text())
    content["text"] = path.with_suffix(".txt").read_text()
    return content


def test_every_section_passes_or_says_why_not(report: dict[str, Any]) -> None:
    assert report["passed"]
    assert report["finished"]
    status = {name: section["status"] for name, section in report["sections"].items()}
    sanitizer = status.pop("sanitizer")
    assert status == dict.fromkeys(
        ["kernels", "parity", "timing", "training", "tests", "determinism"], "passed"
    )
    assert sanitizer in ("passed", "skipped")
    for section in report["sections"].values():
        assert section["skipped"] or section["rows"]


def test_the_emulator_is_a_device_as_well(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = start("--device", "emulator", "--quick", "--only", "timing", "--output", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(path.read_text())
    assert report["gpu"] == "emulator"
    assert report["sections"]["timing"]["status"] == "skipped"


def test_it_says_what_it_ran_on(report: dict[str, Any]) -> None:
    assert (report["device"], report["gpu"]) == ("cuda", "Emulated GPU")
    assert report["versions"]["numpy"] == np.__version__
    known = {"date", "commit", "driver", "python", "driver_cuda", "runtime_cuda", "nvrtc"}
    assert known <= set(report)


def test_the_tests_ran_on_cuda(report: dict[str, Any]) -> None:
    summary = report["sections"]["tests"]["summary"]
    assert summary["passed"] > 100
    assert (summary["failed"], summary["skipped"]) == (0, 0)


def test_times(report: dict[str, Any]) -> None:
    rows = report["sections"]["timing"]["rows"]
    ours = [row for row in rows if row["by"] == "gpucnn"]
    assert {row["method"] for row in ours} == methods()
    assert all(row["ms"] > 0 for row in rows)
    for title in ("section", "method", "network", "max abs", "TFLOP/s", "torch tf32"):
        assert title in report["text"]


def methods() -> set[str]:
    """All of the contract that computes."""
    plain = {"asarray", "to_numpy", "empty", "zeros", "synchronize", "is_array", "not_an_array"}
    plain |= {"from_dlpack"}
    return {name for name, _ in getmembers(Ops, isfunction) if not name.startswith("_")} - plain


def test_parity_and_determinism_cover_every_method(report: dict[str, Any]) -> None:
    for name in ("parity", "determinism"):
        assert {row["method"] for row in report["sections"][name]["rows"]} == methods()
    devices = {row["device"] for row in report["sections"]["parity"]["rows"]}
    assert devices == {"emulator", "cuda"}
    for row in report["sections"]["parity"]["rows"]:
        assert {"max_abs", "max_relative", "ulps", "first", "shape", "device"} <= set(row)


def test_the_loss_curves(report: dict[str, Any]) -> None:
    (row,) = report["sections"]["training"]["rows"]
    assert row["network"] == "mnist_lenet"
    assert len(row["losses"]) == len(row["cpu_losses"]) == row["steps"]


def test_graphs_beside_eager_steps(report: dict[str, Any]) -> None:
    (row,) = report["sections"]["training"]["rows"]
    assert row["same_bits"]
    assert row["same_bits_fed"]
    assert (row["graph_replays"], row["eager_replays"]) == (row["steps"] + 1, 0)
    ways = ("graph", "eager", "host", "staged", "resident")
    assert min(row[f"{way}_ms"] for way in ways) > 0
    assert "graph ms" in report["text"]


@pytest.mark.skipif("cuda" in DEVICES, reason="a GPU is there")
def test_without_a_gpu_it_says_so_and_stops(tmp_path: Path) -> None:
    done = start("--output", str(tmp_path / "report.json"))
    assert done.returncode == 2
    assert done.stderr.startswith("gpu_acceptance: ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_shapes_are_whole() -> None:
    table = yaml.safe_load((ROOT / "configs" / "benchmark_shapes.yaml").read_text())
    lengths = {"convolutions": 11, "pools": 7, "batch_norms": 4, "linears": 3, "arenas": 1}
    assert set(table) == set(lengths)
    assert len(table["convolutions"]) == 35
    for kind, rows in table.items():
        assert all(len(sizes) == lengths[kind] for sizes in rows.values())


def test_what_parity_calls_a_difference() -> None:
    from acceptance.parity import compare

    cpu = np.array([[1, 2], [3, -4]], "float32")
    exact = cpu.astype("float64")
    other = cpu.copy()
    other[1, 0] = np.nextafter(other[1, 0], np.float32(9))
    row = compare([other], [cpu], [exact])
    assert row["agrees"]
    assert (row["first"], row["ulps"]) == ([1, 0], 1)
    other[1, 0] = 3.001
    assert not compare([other], [cpu], [exact])["agrees"]
    other[1, 0] = np.nan
    assert not compare([other], [cpu], [exact])["agrees"]
    places = np.array([0, 1], "uint8")
    assert compare([places], [places], [places])["agrees"]
    assert not compare([places + 1], [places], [places])["agrees"]
    assert not compare([], [places], [places])["agrees"]


PIECES = """
import os, sys, time
from pathlib import Path
from acceptance.sections import Deadline, DeviceLostError, Section
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
section = Section("parity", journal=Path(options["--journal"]), first=int(options["--first"]))
lost = []
def work(piece):
    if piece == "wrong": raise ValueError("a piece alone")
    if piece == "lost": lost.append(piece); raise RuntimeError("illegal address")
    if piece == "crash": os._exit(7)
    if piece == "hang": time.sleep(60)
    section.add({"piece": piece, "process": os.getpid()})
def check():
    if lost: raise RuntimeError("the context is gone")
try:
    section.each("a wrong b lost c crash d hang e".split(), work, Deadline(60), check)
except DeviceLostError:
    sys.exit(3)
"""


def test_what_breaks_a_piece_loses_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, a lost context, the end of the process, and a kernel that does not end."""
    from acceptance import isolation
    from acceptance.sections import Deadline

    (tmp_path / "pieces.py").write_text(PIECES)
    monkeypatch.setattr(isolation, "SILENT_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))
    command = [sys.executable, str(tmp_path / "pieces.py")]
    section = isolation.isolated("parity", command, Deadline(60))
    assert [row["piece"] for row in section.rows] == list("abcde")
    assert len({row["process"] for row in section.rows}) == 4
    assert section.failures == [
        "wrong: ValueError: a piece alone",
        "lost: RuntimeError: illegal address",
        "crash: exit status 7",
        "hang: nothing came for 1 s: ended",
    ]
    assert "in work" in section.tracebacks[0]
    assert section.summary == {"processes": 4}


def test_a_process_that_does_not_begin_is_tried_once(tmp_path: Path) -> None:
    from acceptance import isolation
    from acceptance.sections import Deadline

    (tmp_path / "broken.py").write_text("import no_such_module")
    command = [sys.executable, str(tmp_path / "broken.py")]
    section = isolation.isolated("parity", command, Deadline(60))
    (failure,) = section.failures
    assert failure.startswith("its start: exit status 1")
    assert "no_such_module" in failure
    section = isolation.isolated("parity", command, Deadline(0))
    assert section.failures == ["its start: ended, its time was up"]


SANITIZERS = {
    # compute-sanitizer's options are four words, then comes the command
    "clean": ('shift 4; exec "$@"', "passed", None),
    "finds something": ('shift 4; "$@"; echo invalid read; exit 9', "failed", "invalid read"),
    "refuses the GPU": ("echo Device not supported; exit 1", "skipped", "Device not supported"),
}


@pytest.mark.parametrize("kind", SANITIZERS)
def test_what_compute_sanitizer_says(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acceptance.sections import Deadline
    from acceptance.suite import sanitizer

    does, status, says = SANITIZERS[kind]
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(f"#!/bin/sh\n{does}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(EMULATED))
    section = sanitizer("cuda", Deadline(60))
    assert section.status == status, section
    if status == "failed":
        assert says in section.failures
        assert "exit status 9" in section.failures[0]
    if status == "skipped":
        assert says in str(section.skipped)
    assert section.summary["checked"] == (0 if status == "skipped" else 75)


def test_a_test_that_fails_or_is_skipped_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acceptance import suite
    from acceptance.sections import Deadline

    folder = tmp_path / "tests" / "ops"
    folder.mkdir(parents=True)
    (tmp_path / "tests" / "layers").mkdir()
    (folder / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('device', ['cpu', 'emulator'])\n"
        "@pytest.mark.parametrize('sound', [True, False])\n"
        "def test_it(device, sound): assert sound, 'out of tune'\n"
    )
    (folder / "test_host.py").write_text("def test_it(): pass\n")
    (folder / "test_broken.py").write_text("import no_such_module\n")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    section = suite.tests("emulator", Deadline(60), quick=False, alone=False)
    counts = {row["file"]: (row["passed"], row["failed"]) for row in section.rows}
    assert counts["tests/ops/test_some.py"] == (1, 1)
    assert "tests/ops/test_host.py" not in counts
    assert any("test_some.py::test_it[False-emulator]" in text for text in section.failures)
    assert any("out of tune" in text for text in section.failures)
    assert any("no_such_module" in text for text in section.failures)


def test_a_time_that_is_up_is_a_failure() -> None:
    from acceptance.sections import Deadline, Section

    section = Section("parity")
    section.each(["a", "b"], print, Deadline(0), print)
    assert section.failures == ["no time left for a and what is behind it"]


def test_a_line_that_was_cut_off_spoils_no_journal(tmp_path: Path) -> None:
    from acceptance.sections import Section

    journal = tmp_path / "journal"
    section = Section("parity", journal=journal)
    section.add({"a": 1}, failed=True)
    section.note(torch="2")
    with journal.open("a") as file:
        file.write('{"rows": {"a"')
    read = Section.read("parity", journal)
    assert (read.rows, read.failures, read.summary) == ([{"a": 1}], ["1"], {"torch": "2"})


def test_the_report_is_written_after_each_section(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A section that raises fails alone; an interruption loses nothing that was there."""
    import gpu_acceptance
    from acceptance.sections import Section

    def step(*arguments: Any) -> Section:
        name = arguments[0]
        if name == "parity":
            raise RuntimeError("out of order")
        if name == "training":
            raise KeyboardInterrupt
        return Section(name, rows=[])

    monkeypatch.setattr(gpu_acceptance, "isolated", step)
    path = tmp_path / "report.json"
    assert gpu_acceptance.main(["--device", "emulator", "--output", str(path)]) == 130
    report = json.loads(path.read_text())
    assert list(report["sections"]) == ["kernels", "parity", "timing"]
    assert (report["finished"], report["passed"]) == (False, False)
    parity = report["sections"]["parity"]
    assert parity["failures"] == ["parity: RuntimeError: out of order"]
    assert "in step" in parity["tracebacks"][0]
    assert [file.name for file in tmp_path.iterdir()] == ["report.json", "report.txt"]


def test_a_run_overwrites_no_other(tmp_path: Path) -> None:
    from gpu_acceptance import free_name

    machine = {"gpu": "NVIDIA A/B 1", "date": "2026-01-02"}
    for name in ("nvidia-a-b-1-2026-01-02", "nvidia-a-b-1-2026-01-02-2"):
        path = free_name(tmp_path, machine)
        assert path.name == f"{name}.json"
        path.touch()


@pytest.mark.slow
def test_all_tests_on_devices_run_on_an_emulated_gpu() -> None:
    """Nothing takes a device array for a NumPy array, and no test is skipped there."""
    command = ["-m", "pytest", "-q", "-k", "cuda", "--require-gpu", "-m", "not slow"]
    done = subprocess.run(
        [
            sys.executable,
            *command,
            *(f"tests/{name}" for name in ("ops", "layers", "training")),
            "tests/test_losses.py",
            "tests/test_optimizers.py",
            "tests/test_initializers.py",
            "tests/seeds",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(EMULATED)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
