"""kernels/README.md lists every kernel, with the registers of its budget."""

import re
from pathlib import Path

import pytest

from gpucnn.runtime.registry import files, symbols
from gpucnn.runtime.report import read_budget

TEXT = (Path(__file__).resolve().parents[2] / "kernels" / "README.md").read_text()
ROWS = dict(re.findall(r"^\| \[(\w+)\]\(\1\.cu\) \|.*\| (\d+) \| [^|]* \|$", TEXT, re.MULTILINE))


def test_every_file_has_a_row() -> None:
    assert set(ROWS) == set(files())


@pytest.mark.parametrize("file", files())
def test_the_registers_are_the_budget(file: str) -> None:
    owned = set(symbols(file))
    keys = [(key.split(), entry) for key, entry in read_budget().items()]
    most = max(e["registers"] for words, e in keys if words[0] in owned and words[1] == "float")
    assert int(ROWS[file]) == most
