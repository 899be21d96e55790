"""`import gpucnn`: quick, complete, and possible where NumPy is broken."""

import subprocess
import sys

import pytest

import gpucnn


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    run = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def test_it_loads_no_library() -> None:
    code = (
        "import sys, gpucnn; print(sorted({'numpy', 'pydantic', 'rich', 'yaml'} & {*sys.modules}))"
    )
    assert python(code) == "[]"


@pytest.mark.parametrize("name", gpucnn.__all__)
def test_every_name_is_there_at_once(name: str) -> None:
    assert python(f"import gpucnn; print(gpucnn.{name}.__name__)").split(".")[-1] == name


def test_a_layer_alone() -> None:
    code = (
        "import gpucnn; conv = gpucnn.layers.Conv2d(filters=8, kernel_size=3, padding=1);"
        "print(conv.build((3, 32, 32), gpucnn.get_ops('cpu'), seed=0))"
    )
    assert python(code) == "(8, 32, 32)"


def test_names_are_listed_and_others_refused() -> None:
    assert set(gpucnn.__all__) <= set(dir(gpucnn))
    with pytest.raises(AttributeError, match="module 'gpucnn' has no attribute 'layer'"):
        gpucnn.layer  # noqa: B018


def test_the_doctor_runs_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from gpucnn.cli import main; print('status', main(['doctor']))"
    )
    report = python(code)
    assert "does not import" in report
    assert "pip install --force-reinstall numpy" in report
    assert report.endswith("status 1")
