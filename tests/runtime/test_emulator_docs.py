"""docs/emulator.md is run as it stands; what it prints is what it says."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from gpucnn.errors import KernelError
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import kernels_folder

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emulator.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kernel, _ = blocks("cuda")
    run, report = blocks("python")
    found, measured, _ = blocks("text")
    store = "threadIdx.x];\n    y["
    assert store in kernel
    assert printed(kernel, run) == found
    corrected = kernel.replace(store, "threadIdx.x];\n    __syncthreads();\n    y[")
    assert printed(corrected, run + report) == measured


def test_the_copy_is_on_its_way(tmp_path: Path) -> None:
    _, kernel = blocks("cuda")
    *_, found = blocks("text")
    for header in ("async.cuh", "common.cuh"):
        shutil.copy(kernels_folder() / header, tmp_path)
    emulator = EmulatorLauncher(checked=True)
    x, y = np.arange(128, dtype=np.float32), emulator.xp.empty(32, np.float32)
    for name, text in (("turn", kernel), ("waits", kernel.replace("<1>", "<0>"))):
        (tmp_path / f"{name}.cu").write_text(text)
        turn = Kernel(name, "turn", (), tmp_path)
        with pytest.raises(KernelError) if name == "turn" else contextlib.nullcontext() as caught:
            emulator.launch(turn, (1, 1, 1), (32, 1, 1), [x, y])
        if caught is not None:
            assert f"{caught.value}\n" == found
    np.testing.assert_array_equal(y, x[:95:-1])


def printed(kernel: str, code: str) -> str:
    folder = Path("mine" + str(len(kernel)))  # a text of its own: a file is read once a process
    folder.mkdir()
    (folder / "transpose.cu").write_text(kernel)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code.replace('Path("mine")', f'Path("{folder}")'), {})
    return out.getvalue()
