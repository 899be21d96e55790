"""Every kernel under NVRTC: it compiles for every architecture and keeps within its budget."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpucnn.cli import main
from gpucnn.errors import DataError, DeviceError, KernelError
from gpucnn.runtime import nvrtc, registry, report
from gpucnn.runtime.report import MULTIPROCESSORS, Usage, beyond, occupancy

QUICK = ("sm_80", "sm_90", "sm_120")


@pytest.fixture
def _nvrtc() -> None:
    try:
        nvrtc.find()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("_nvrtc")
@pytest.mark.parametrize(
    "arch",
    [arch if arch in QUICK else pytest.param(arch, marks=pytest.mark.slow)
     for arch in MULTIPROCESSORS],
)  # fmt: skip
def test_every_kernel_keeps_its_budget(arch: str) -> None:
    if arch not in nvrtc.architectures():
        pytest.skip(f"NVRTC {nvrtc.version()} does not compile for {arch}")
    budget = report.read_budget()
    found = list(report.report(registry.builds(), [arch]))
    assert len(found) == sum(len(build.symbols) for build in registry.builds())
    assert [fault for usage in found for fault in beyond(usage, budget)] == []


def test_the_budget_lists_the_kernels_and_no_spill() -> None:
    budget = report.read_budget()
    keys = {
        Usage(build, symbol, "sm_90", 0, 0, 0).key
        for build in registry.builds()
        for symbol in build.symbols
    }
    assert set(budget) == keys
    assert {key for key, entry in budget.items() if entry.get("spilled")} == set()


def usage(registers: int = 40, spilled: int = 0, shared: int = 1024) -> Usage:
    build = registry.Build("max_abs", (("SCALAR", "float"), ("THREADS", "256")), ("max_abs",))
    return Usage(build, "max_abs", "sm_90", registers, spilled, shared)


def test_what_is_beyond_a_budget() -> None:
    budget = {"max_abs float THREADS=256": {"registers": 40, "shared": 1024}}
    assert beyond(usage(), budget) == []
    for worse in (usage(registers=41), usage(spilled=4), usage(shared=1025)):
        assert len(beyond(worse, budget)) == 1
    assert "not in kernels/budget.json" in beyond(usage(), {})[0]


def test_a_budget_holds_what_it_was_made_from(tmp_path: Path) -> None:
    found = [usage(registers=32, shared=2048), usage(registers=35)]
    report.write_budget(found, tmp_path / "budget.json")
    budget = report.read_budget(tmp_path / "budget.json")
    assert budget == {"max_abs float THREADS=256": {"registers": 40, "shared": 2048}}
    (tmp_path / "budget.json").write_text("{")
    with pytest.raises(DataError, match=r"cannot read the budget .*budget\.json"):
        report.read_budget(tmp_path / "budget.json")


def test_a_budget_of_some_kernels_leaves_the_others_alone(tmp_path: Path) -> None:
    path, entry = tmp_path / "budget.json", {"registers": 8, "shared": 0}
    path.write_text(json.dumps({"max_abs float OLD=1": entry, "max_abs_b float": entry}))
    report.write_budget([usage(registers=32)], path, keep=True)
    new = {"registers": 32, "shared": 1024}
    assert report.read_budget(path) == {"max_abs float THREADS=256": new, "max_abs_b float": entry}
    report.write_budget([usage(registers=32)], path)
    assert report.read_budget(path) == {"max_abs float THREADS=256": new}


@pytest.mark.parametrize(
    ("arch", "block", "registers", "shared", "expected"),
    [
        ("sm_90", 256, 32, 0, 1.0),  # 8 blocks of 8 warps: all 64
        ("sm_90", 256, 128, 0, 0.25),  # 65536 / (128 * 32) = 16 warps
        ("sm_90", 256, 129, 0, 0.125),  # 136 registers are given out: 15, so 12 warps, one block
        ("sm_90", 256, 32, 40 * 1024, 0.625),  # 228 / 41 = 5 blocks
        ("sm_86", 256, 32, 0, 1.0),  # 6 blocks of 8 warps: all 48
        ("sm_75", 1024, 64, 0, 1.0),  # one block of 32 warps takes all registers
        ("sm_75", 1024, 65, 0, 0.0),  # and does not fit with one more
        ("sm_80", 32, 16, 0, 0.5),  # 32 blocks of a warp
    ],
)
def test_occupancy(arch: str, block: int, registers: int, shared: int, expected: float) -> None:
    assert occupancy(arch, block, registers, shared) == expected


@pytest.mark.usefixtures("_nvrtc")
def test_a_text_that_does_not_compile() -> None:
    with pytest.raises(KernelError, match=r"kernels/bad\.cu for sm_90 with .*[\s\S]*bad\.cu"):
        nvrtc.compile_log("void f( {", "bad", (("SCALAR", "float"),), "sm_90")


def test_without_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(nvrtc.sys, "path", [])
    monkeypatch.setattr(nvrtc.ctypes, "CDLL", missing)
    with pytest.raises(DeviceError, match="pip install nvidia-cuda-nvrtc"):
        nvrtc.find()


def test_the_command_lists_the_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "list"]) == 0
    shown = capsys.readouterr().out
    for file in registry.files():
        assert f"kernels/{file}.cu" in shown


@pytest.mark.usefixtures("_nvrtc")
def test_the_command_reports(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["kernels", "report", "max_abs", "--arch", "sm_80"]) == 0
    assert "max_abs float THREADS=256" in capsys.readouterr().out
    new = tmp_path / "new.json"
    assert (
        main(["kernels", "report", "max_abs", "--arch", "sm_80", "--write-budget", str(new)]) == 0
    )
    assert set(report.read_budget(new)) == {f"max_abs {t} THREADS=256" for t in registry.TYPES}


def test_a_budget_is_of_all_architectures_and_keeps_other_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def compiled(builds: Sequence[registry.Build], archs: Sequence[str]) -> list[Usage]:
        asked[:] = archs
        return [usage()]

    monkeypatch.setattr(report, "report", compiled)
    path = tmp_path / "budget.json"
    path.write_text(json.dumps({"add float": {"registers": 40, "shared": 0}}))
    assert main(["kernels", "report", "max_abs", "--write-budget", str(path)]) == 0
    assert asked == list(MULTIPROCESSORS)
    assert set(report.read_budget(path)) == {"add float", "max_abs float THREADS=256"}
    main(["kernels", "report", "max_abs"])
    assert set(asked) < set(MULTIPROCESSORS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "nothing"], "no kernel file is named nothing"),
        (["report", "max_abs", "--arch", "sm_1"], "--arch must be of sm_75"),
        (["build", "max_abs", "--device", "cpu"], "--device must be cuda"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_command_builds_for_the_emulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "build", "ema_update", "--device", "emulator"]) == 0
    assert "2 builds" in capsys.readouterr().out
