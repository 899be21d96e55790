"""scripts/gpu_acceptance.py on the emulator; what it does on a GPU needs one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gpucnn.ops.base import Ops
from tests.conftest import DEVICES

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "gpu_acceptance.py"


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("acceptance") / "new" / "report.json"
    done = start("--device", "emulator", "--quick", "--output", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_every_section_passes_or_says_why_not(report: dict[str, Any]) -> None:
    assert report["passed"]
    status = {name: section["status"] for name, section in report["sections"].items()}
    assert status == dict.fromkeys(["tests", "parity", "determinism", "training"], "passed") | {
        "sanitizer": "skipped",
        "timing": "skipped",
    }
    for section in report["sections"].values():
        assert section["skipped"] or section["rows"] or section["summary"]


def test_it_says_what_it_ran_on(report: dict[str, Any]) -> None:
    assert report["gpu"] == report["device"] == "emulator"
    assert report["versions"]["numpy"] == np.__version__
    assert {"date", "commit", "driver", "python"} <= set(report)


def test_parity_and_determinism_cover_every_method(report: dict[str, Any]) -> None:
    plain = {"asarray", "to_numpy", "empty", "zeros", "synchronize", "is_array", "not_an_array"}
    methods = {name for name in dir(Ops) if not name.startswith("_") and name != "name"} - plain
    for name in ("parity", "determinism"):
        assert {row["method"] for row in report["sections"][name]["rows"]} == methods
    for row in report["sections"]["parity"]["rows"]:
        assert {"max_abs", "max_relative", "ulps", "first", "shape", "device"} <= set(row)


def test_the_loss_curves(report: dict[str, Any]) -> None:
    (row,) = report["sections"]["training"]["rows"]
    assert row["network"] == "mnist_lenet"
    assert len(row["losses"]) == len(row["cpu_losses"]) == row["steps"]


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


def test_what_parity_calls_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
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


def test_a_section_that_raises_fails_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import gpu_acceptance

    def broken(*arguments: Any) -> None:
        raise RuntimeError("out of order")

    for name in ("tests", "parity", "determinism"):
        monkeypatch.setattr(gpu_acceptance, name, broken)
    path = tmp_path / "report.json"
    assert gpu_acceptance.main(["--device", "emulator", "--quick", "--output", str(path)]) == 1
    report = json.loads(path.read_text())
    assert not report["passed"]
    assert report["sections"]["parity"]["failures"] == ["RuntimeError: out of order"]
    assert report["sections"]["training"]["status"] == "passed"
