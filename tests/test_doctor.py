"""The doctor on machines that this one is not: every probe is replaced by a fake."""

import ctypes
import json
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path

import pytest

from gpucnn import doctor
from gpucnn.doctor import MISSING, OK, PROBLEM, Finding

ROOT = Path(__file__).resolve().parent.parent
Answers = dict[str, tuple[int, str, str]]


class FakeDriver:
    """libcuda with one status for all calls and one CUDA version."""

    def __init__(self, status: int = 0, cuda: int = 13000):
        self.status = status
        self.cuda = cuda

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDriverGetVersion(self, number: object) -> int:
        number._obj.value = self.cuda  # type: ignore[attr-defined]
        return 0


class Machine:
    """What the fakes answer; a test changes it before it asks the doctor."""

    def __init__(self) -> None:
        self.versions = {name: "99.0" for name, _, _ in doctor.REQUIREMENTS}
        self.answers: Answers = {}
        self.driver: FakeDriver | None = None
        self.pools = [
            {
                "user_api": "blas",
                "internal_api": "openblas",
                "version": "0.3.29",
                "num_threads": 2,
                "architecture": "Haswell",
            }
        ]

    def add_gpu(self, cuda: int = 13000) -> None:
        self.driver = FakeDriver(cuda=cuda)
        self.answers["driver_version"] = (0, "580.95\n", "")
        self.answers["name,memory.total"] = (0, "Some GPU, 16384 MiB\nSome GPU, 16384 MiB\n", "")

    def add_cupy(self, *names: str, available: bool = True) -> None:
        self.versions |= dict.fromkeys(names, "14.0")
        probe = {"version": "14.0", "available": available, "free": 3 * 2**30}
        self.answers["import json, cupy"] = (0, json.dumps(probe), "")

    def run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
        line = " ".join(command)
        for key, (status, out, err) in self.answers.items():
            if key in line:
                return subprocess.CompletedProcess(command, status, out, err)
        return None

    def load_driver(self) -> FakeDriver:
        if self.driver is None:
            raise OSError("libcuda.so.1: cannot open shared object file")
        return self.driver


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A sound machine without a GPU, a compiler or any optional library."""
    fake = Machine()
    monkeypatch.setattr(doctor, "_version", fake.versions.get)
    monkeypatch.setattr(doctor, "_run", fake.run)
    monkeypatch.setattr(doctor, "_libcuda", fake.load_driver)
    monkeypatch.setattr(doctor, "_thread_pools", lambda: fake.pools)
    monkeypatch.setattr(
        doctor.shutil, "which", lambda name: f"/bin/{name}" if name in fake.answers else None
    )
    return fake


def findings() -> dict[str, Finding]:
    return {finding.topic: finding for finding in doctor.examine()}


def test_a_sound_machine_without_a_gpu_is_healthy(machine: Machine) -> None:
    found = findings()
    assert doctor.healthy(list(found.values()))
    for topic in ("driver", "GPU", "CuPy", "g++", "nvcc", "matplotlib", "pillow", "torch"):
        assert found[topic].status == MISSING
        assert found[topic].remedy
    assert "openblas 0.3.29, 2 threads" in found["BLAS"].detail
    assert "Haswell" in found["BLAS"].detail


@pytest.mark.parametrize("name", [name for name, _, _ in doctor.REQUIREMENTS])
@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_a_missing_or_old_requirement_is_an_illness(
    machine: Machine, name: str, version: str | None
) -> None:
    del machine.versions[name]
    if version:
        machine.versions[name] = version
    found = findings()
    assert found[name].status == (PROBLEM if version else MISSING)
    assert found[name].remedy.startswith(f'pip install "{name}>=')
    assert not doctor.healthy(list(found.values()))


def test_a_requirement_that_does_not_import(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(doctor, "import_module", broken)
    found = findings()["numpy"]
    assert (found.status, "undefined symbol" in found.detail) == (PROBLEM, True)
    assert found.remedy == "pip install --force-reinstall numpy"


def test_the_requirements_are_those_of_the_package() -> None:
    declared = {
        re.split(r"[>=;\[ ]", line)[0].lower(): tuple(
            map(int, re.search(r">=([\d.]+)", line).group(1).split("."))  # type: ignore[union-attr]
        )
        for line in requires("gpucnn") or []
        if "extra" not in line
    }
    assert declared == {name: lowest for name, _, lowest in doctor.REQUIREMENTS}


def test_no_blas(machine: Machine) -> None:
    machine.pools = []
    assert findings()["BLAS"].status == PROBLEM


def test_a_machine_with_gpus_and_one_cupy(machine: Machine) -> None:
    machine.add_gpu()
    machine.add_cupy("cupy-cuda13x")
    found = findings()
    assert found["driver"].detail == "580.95, up to CUDA 13.0"
    assert found["GPU 1"].detail == "Some GPU, 16384 MiB"
    assert found["CuPy"].status == OK
    assert found["CuPy"].detail == "cupy-cuda13x 14.0, 3.0 GiB free on the first GPU"


@pytest.mark.parametrize(("cuda", "extra"), [(12040, "cuda12"), (13000, "cuda13")])
def test_the_cupy_to_install_fits_the_driver(machine: Machine, cuda: int, extra: str) -> None:
    machine.add_gpu(cuda)
    assert findings()["CuPy"].remedy == f'pip install "gpucnn[{extra}]"'


def test_two_cupys_are_a_conflict(machine: Machine) -> None:
    machine.add_gpu()
    machine.add_cupy("cupy-cuda12x", "cupy-cuda13x")
    found = findings()["CuPy"]
    assert found.status == PROBLEM
    remedy = 'pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install "gpucnn[cuda13]"'
    assert found.remedy == remedy


def test_a_cupy_that_does_not_import(machine: Machine) -> None:
    machine.add_cupy("cupy")
    machine.answers["import json, cupy"] = (1, "", "Traceback\nImportError: libfoo.so\n")
    found = findings()["CuPy"]
    assert found.status == PROBLEM
    assert "ImportError: libfoo.so" in found.detail
    assert found.remedy.startswith("pip uninstall -y cupy && ")


def test_a_cupy_that_does_not_answer(machine: Machine) -> None:
    machine.add_cupy("cupy")
    machine.answers.clear()
    assert "no answer in time" in findings()["CuPy"].detail


@pytest.mark.parametrize(("gpu", "status"), [(True, PROBLEM), (False, MISSING)])
def test_a_cupy_without_a_gpu_it_can_use(machine: Machine, gpu: bool, status: str) -> None:
    if gpu:
        machine.add_gpu()
    machine.add_cupy("cupy-cuda12x", available=False)
    found = findings()["CuPy"]
    assert found.status == status
    assert "finds no GPU" in found.detail
    assert found.remedy


def test_a_driver_that_fails(machine: Machine) -> None:
    machine.driver = FakeDriver(status=999)
    found = findings()
    assert found["driver"].status == PROBLEM
    assert "error 999" in found["driver"].detail
    assert found["GPU"].remedy == "see driver"


def test_a_driver_that_shows_no_gpu(machine: Machine) -> None:
    machine.driver = FakeDriver(cuda=12080)
    found = findings()
    assert found["driver"].detail == "libcuda, up to CUDA 12.8"
    assert "CUDA_VISIBLE_DEVICES" in found["GPU"].remedy


@pytest.mark.parametrize(
    ("name", "answer", "detail"),
    [
        ("g++", "g++ (Debian) 12.2.0\nCopyright\n", "g++ (Debian) 12.2.0"),
        (
            "nvcc",
            "nvcc: NVIDIA (R) Cuda compiler\nCuda compilation tools, release 13.0\n",
            "Cuda compilation tools, release 13.0",
        ),
    ],
)
def test_compilers(machine: Machine, name: str, answer: str, detail: str) -> None:
    machine.answers[name] = (0, answer, "")
    assert findings()[name] == Finding(name, OK, detail)
    machine.answers[name] = (1, "", "broken")
    assert findings()[name].status == PROBLEM


def test_the_real_probes_answer_on_this_machine() -> None:
    found = findings()
    assert found["Python"].status == OK
    assert found["numpy"].status == OK
    assert {"driver", "CuPy", "g++"} <= found.keys()


def test_a_program_that_is_not_there_gives_no_answer() -> None:
    assert doctor._run(["no-such-program-anywhere"]) is None


def test_the_driver_is_asked_through_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: f"handle of {name}")
    assert doctor._libcuda() == "handle of libcuda.so.1"
