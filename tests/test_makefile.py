"""The Makefile's logic, with a stand-in for the virtual environment: nothing is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Writes each of its calls, a line of arguments, to `calls`.
FAKE_PYTHON = '#!/bin/sh\necho "$*" >> calls\n'
TARGETS = ["help", "train", "test", "test-all", "gpu-acceptance", "gpu-measure"]
TARGETS += ["lint", "clean"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile in a folder whose .venv notes what it is asked to do."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    executable(tmp_path / ".venv/bin/python", FAKE_PYTHON)
    return tmp_path


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run make as from a shell of its own and return all that it says."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CONFIG", "DEVICE", "EXTRAS", "OUTPUT"}
    }
    done = subprocess.run(
        ["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def calls(folder: Path) -> list[str]:
    """What the environment's Python was asked to do since the last time."""
    file = folder / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def test_without_a_target_it_lists_targets_and_variables(checkout: Path) -> None:
    words = {line.split()[0] for line in make(checkout).splitlines()}
    assert words == {"Targets:", *TARGETS, "Variables", "CONFIG", "DEVICE"} | {
        "EXTRAS",
        "OUTPUT",
        "PYTHON",
    }


def test_train_installs_once_and_trains(checkout: Path) -> None:
    make(checkout, "train")
    install, train = calls(checkout)
    assert install.endswith("--editable .[plot,images]")
    assert train == "-m gpucnn train configs/digits_lenet.yaml --output runs/digits_lenet"
    make(checkout, "train")
    assert len(calls(checkout)) == 1


def test_train_installs_again_when_something_changed(checkout: Path) -> None:
    make(checkout, "train")
    make(checkout, "train", "EXTRAS=plot")
    assert calls(checkout)[2].endswith("--editable .[plot]")
    newer = (checkout / ".venv/installed-plot").stat().st_mtime + 10
    os.utime(checkout / "pyproject.toml", (newer, newer))
    make(checkout, "train", "EXTRAS=")
    assert calls(checkout)[0].endswith("--editable .")
    make(checkout, "train", "EXTRAS=plot")
    assert "install" in calls(checkout)[0]


def test_train_passes_its_variables_on(checkout: Path) -> None:
    make(checkout, "train", "CONFIG=my configs/a b.yaml", "DEVICE=cuda:1", "OUTPUT=out put")
    expected = "-m gpucnn train my configs/a b.yaml --output out put --device cuda:1"
    assert calls(checkout)[1] == expected


def test_train_takes_the_first_free_folder(checkout: Path) -> None:
    for folder in ("runs/tiny", "runs/tiny-2", "runs/tiny-4"):
        (checkout / folder).mkdir(parents=True)
    make(checkout, "train", "CONFIG=configs/tiny.yml")
    assert calls(checkout)[1] == "-m gpucnn train configs/tiny.yml --output runs/tiny-3"


def test_a_failing_run_fails(checkout: Path) -> None:
    make(checkout, "train")
    executable(checkout / ".venv/bin/python", "#!/bin/sh\nexit 2\n")
    os.utime(checkout / ".venv/bin/python", (0, 0))
    make(checkout, "train", fails=True)


def test_a_failing_installation_is_tried_again(checkout: Path) -> None:
    executable(checkout / ".venv/bin/python", "#!/bin/sh\nexit 1\n")
    make(checkout, "train", fails=True)
    executable(checkout / ".venv/bin/python", FAKE_PYTHON)
    make(checkout, "train")
    assert "install" in calls(checkout)[0]


@pytest.mark.parametrize(
    ("target", "wanted"), [("test", "-m pytest -m not slow"), ("test-all", "-m pytest")]
)
def test_the_tests_install_the_tools_and_run(checkout: Path, target: str, wanted: str) -> None:
    make(checkout, target)
    install, run = calls(checkout)
    assert install.endswith("--editable .[dev]")
    assert run == wanted


@pytest.mark.parametrize(
    ("extras", "cupy", "other"),
    [("plot,images", "cuda13", "cupy-cuda12x"), ("cuda12,plot", "cuda12", "cupy-cuda13x")],
)
def test_the_acceptance_installs_one_cupy_and_runs(
    checkout: Path, extras: str, cupy: str, other: str
) -> None:
    make(checkout, "gpu-acceptance", f"EXTRAS={extras}", "DEVICE=cuda:1")
    uninstall, install, run = calls(checkout)
    assert "uninstall" in uninstall
    assert uninstall.endswith(f"--yes {other}")
    assert install.endswith(f"--editable .[test,{cupy}]")
    assert run == "scripts/gpu_acceptance.py --device cuda:1"


def test_the_gpu_is_measured_once_it_is_accepted(checkout: Path) -> None:
    make(checkout, "gpu-measure", "DEVICE=cuda:1")
    *_, accepted, plans, steps, accuracy, tables = calls(checkout)
    assert accepted.startswith("scripts/gpu_acceptance.py")
    assert plans == "benchmarks/conv_candidates.py --device cuda:1 --record"
    assert steps == "benchmarks/training_steps.py --device cuda:1 --record"
    first, *configs = accuracy.removesuffix(" --device cuda:1 --record").split()
    assert first == "benchmarks/time_to_accuracy.py"
    assert all((ROOT / path).is_file() for path in [first, *configs, plans.split()[0]])
    assert tables == "scripts/update_tables.py"
    make(checkout, "gpu-measure")
    assert "benchmarks/conv_candidates.py --device cuda --record" in calls(checkout)


def test_lint_runs_all_checkers(checkout: Path) -> None:
    make(checkout, "lint")
    assert calls(checkout)[1:] == ["-m ruff check", "-m ruff format --check", "-m mypy"]


def test_clean_keeps_runs_and_data(checkout: Path) -> None:
    for folder in ("runs/a", "data/mnist", "build", "gpucnn/__pycache__"):
        (checkout / folder).mkdir(parents=True)
    make(checkout, "clean")
    assert {path.name for path in checkout.iterdir()} == {
        "Makefile",
        "pyproject.toml",
        "runs",
        "data",
        "gpucnn",
    }
    assert list((checkout / "gpucnn").iterdir()) == []


@pytest.mark.parametrize(
    ("python", "message"),
    [
        # Its version test fails; its venv test fails.
        ('case "$2" in *version_info*) exit 1;; esac; echo Python 3.8.1', "needs Python 3.10"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "python3-venv"),
    ],
)
def test_a_python_that_will_not_do(checkout: Path, python: str, message: str) -> None:
    shutil.rmtree(checkout / ".venv")
    executable(checkout / "fake", f"#!/bin/sh\n{python}\n")
    assert message in make(checkout, "train", "PYTHON=./fake", fails=True)
    assert "No such" not in make(checkout, "train", "PYTHON=./fake", fails=True)
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    assert "nowhere not found" in make(checkout, "train", "PYTHON=nowhere", fails=True)


def test_an_environment_half_made_is_taken_away(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    half = 'case "$2" in venv) mkdir -p .venv/bin; : > .venv/bin/python; exit 1;; esac'
    executable(checkout / "fake", f"#!/bin/sh\n{half}\n")
    make(checkout, "train", "PYTHON=./fake", fails=True)
    assert not (checkout / ".venv").exists()


def test_continuous_integration_runs_make_test(checkout: Path) -> None:
    (checkout / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", checkout / ".ci/run")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    run = [str(checkout / ".ci/run")]
    assert subprocess.run(run, cwd="/", env=clean, capture_output=True, check=False).returncode == 0
    assert calls(checkout)[1] == "-m pytest -m not slow"
    executable(checkout / ".venv/bin/python", "#!/bin/sh\nexit 1\n")
    os.utime(checkout / ".venv/bin/python", (0, 0))
    assert subprocess.run(run, cwd="/", env=clean, capture_output=True, check=False).returncode != 0
