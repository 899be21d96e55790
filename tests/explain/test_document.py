"""docs/explain.md shows what the command prints, and only commands that work."""

import re
import struct
from pathlib import Path

import pytest

from gpucnn.cli import main
from gpucnn.explain.cases import CASES
from gpucnn.explain.picture import draw
from tests.explain.walks import walk

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "explain.md").read_text("utf-8")
OUTPUTS = dict(re.findall(r"```text\n\$ gpucnn explain ([^\n]*)\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = re.findall(r"^gpucnn explain ([^#\n]*)", TEXT, re.MULTILINE)


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_an_output_is_the_command_s(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments.split()]) == 0
    assert capsys.readouterr().out == OUTPUTS[arguments]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_command_works(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments.split()]) == 0
    assert "✓" in capsys.readouterr().out


def test_every_case_has_its_row() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", TEXT, re.MULTILINE)
    assert rows == [(case.name, case.shows) for case in CASES.values()]


def test_the_picture_is_of_this_page() -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    sizes = [
        struct.unpack(">II", data[16:24])
        for data in (
            (ROOT / "docs" / "explain.png").read_bytes(),
            draw(walk("conv-backward-input", stride=(2, 2))),
        )
    ]
    assert sizes[0] == sizes[1]


def test_the_readme_leads_here() -> None:
    assert "docs/explain.md" in (ROOT / "README.md").read_text("utf-8")
