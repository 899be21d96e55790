"""The artefacts that users get: what is inside, and a run from a wheel in a clean environment.

Building and installing need the package index, as the installation itself does.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import gpucnn

ROOT = Path(__file__).resolve().parent.parent

TINY = """
data: {name: digits, batch_size: 64}
model:
  input: [1, 8, 8]
  layers:
    - conv2d: {filters: 4, kernel_size: 3, padding: 1}
    - relu
    - max_pool2d: {kernel_size: 2}
    - flatten
    - linear: {units: 10}
optimizer: {sgd: {lr: 0.1, momentum: 0.9}}
train: {epochs: 1}
output: runs/tiny
"""


def execute(command: Sequence[str | Path], cwd: Path) -> str:
    """Run a command that must succeed, away from this checkout, and return its output."""
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONWARNINGS"}}
    done = subprocess.run(
        command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it: what the sdist lacks, the wheel lacks too."""
    if importlib.util.find_spec("build") is None:
        pytest.skip('build is not installed: pip install ".[dev]"')
    out = tmp_path_factory.mktemp("dist")
    execute([sys.executable, "-m", "build", "--outdir", out, ROOT], cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def below(folder: str, pattern: str = "*") -> set[str]:
    """The checkout's files under a folder, as paths from the root."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_version_is_the_packages(artefacts: tuple[Path, Path]) -> None:
    assert [path.name for path in artefacts] == [
        f"gpucnn-{gpucnn.__version__}.tar.gz",
        f"gpucnn-{gpucnn.__version__}-py3-none-any.whl",
    ]


def test_the_wheel_carries_package_data_kernels_and_licences(
    artefacts: tuple[Path, Path],
) -> None:
    with zipfile.ZipFile(artefacts[1]) as wheel:
        names = set(wheel.namelist())
    assert below("gpucnn", "*.py") <= names
    assert {"gpucnn/py.typed", "gpucnn/data/digits.npz", "gpucnn/_docs/seeds.yaml"} <= names
    assert {name.replace("kernels/", "gpucnn/_kernels/", 1) for name in below("kernels")} <= names
    licences = {name.split("/licenses/")[1] for name in names if "/licenses/" in name}
    assert {"LICENSE", "gpucnn/data/digits_LICENSE.txt"} <= licences
    assert {name.split("/")[0] for name in names} == {
        "gpucnn",
        f"gpucnn-{gpucnn.__version__}.dist-info",
    }


def test_the_sdist_carries_what_a_developer_needs(artefacts: tuple[Path, Path]) -> None:
    with tarfile.open(artefacts[0]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    needed = below("kernels") | below("configs", "*.yaml") | below("tests", "*.py")
    assert needed <= names
    assert {"Makefile", "README.md", "ARCHITECTURE.md", "LICENSE", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith((".venv", "runs", "data/"))}


def test_a_wheel_in_a_clean_environment_trains(
    artefacts: tuple[Path, Path], tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python, command = environment / "bin" / "python", environment / "bin" / "gpucnn"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    execute([*pip, "install", "--quiet", artefacts[1]], cwd=tmp_path)
    execute([*pip, "check"], cwd=tmp_path)

    place = execute([python, "-c", "import gpucnn; print(gpucnn.__file__)"], cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(environment)
    assert execute([command, "--version"], cwd=tmp_path) == f"gpucnn {gpucnn.__version__}\n"
    assert "matplotlib" in execute([command, "doctor"], cwd=tmp_path)
    places = execute([command, "equations", "A7"], cwd=tmp_path)
    assert "gpucnn/_kernels/conv2d_backward_weight.cu" in places

    (tmp_path / "tiny.yaml").write_text(TINY)
    execute([command, "train", "tiny.yaml"], cwd=tmp_path)
    summary = json.loads((tmp_path / "runs/tiny/summary.json").read_text())
    assert summary["stop_reason"] == "epochs"
    assert summary["epochs"] == 1
    # A guess is right one time in ten; an epoch on the digits does far better.
    assert summary["test_accuracy"] > 0.5
