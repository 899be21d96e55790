"""docs/emulator.md is run as it stands; what it prints is what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emulator.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (kernel,) = blocks("cuda")
    run, report = blocks("python")
    found, measured = blocks("text")
    store = "threadIdx.x];\n    y["
    assert store in kernel
    assert printed(kernel, run) == found
    corrected = kernel.replace(store, "threadIdx.x];\n    __syncthreads();\n    y[")
    assert printed(corrected, run + report) == measured


def printed(kernel: str, code: str) -> str:
    folder = Path("mine" + str(len(kernel)))  # a text of its own: a file is read once a process
    folder.mkdir()
    (folder / "transpose.cu").write_text(kernel)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code.replace('Path("mine")', f'Path("{folder}")'), {})
    return out.getvalue()
