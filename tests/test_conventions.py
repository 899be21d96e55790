"""docs/conventions.md: its snippets give what they show, and no convention is left out."""

import doctest
import re
from pathlib import Path

import pytest
import yaml

from gpucnn.config import parse_config

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conventions.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONVENTIONS = [f"C{number}" for number in range(1, 11)]


def blocks(language: str) -> list[str]:
    return [found[2] for found in BLOCK.finditer(TEXT) if found[1] == language]


@pytest.mark.seed("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10")
def test_the_snippets_give_what_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = doctest.DocTestParser().get_doctest(
        "\n".join(blocks("pycon")), {}, PAGE.name, str(PAGE), 0
    )
    assert len(examples.examples) >= 30
    said: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=said.append)
    assert result.failed == 0, "".join(said)


def test_every_convention_has_a_section_with_a_snippet_and_a_row_in_the_table() -> None:
    sections = dict(re.findall(r"^## (\w[^\n]*)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
    assert [title for title in sections if title.startswith("C")] == CONVENTIONS
    for name in CONVENTIONS:
        assert "```pycon\n" in sections[name], name
        assert f"| [{name}](#{name.lower()}) |" in TEXT
    rows = yaml.safe_load((ROOT / "docs" / "seeds.yaml").read_text(encoding="utf-8"))["rows"]
    assert [name for name in rows if re.fullmatch(r"C\d+", name)] == CONVENTIONS


def test_the_config_keys_shown_are_keys() -> None:
    """Each YAML block inside a config that has the rest."""
    loss, pool = blocks("yaml")
    config = parse_config(
        "data: {name: digits}\n"
        f"model: {{input: [1, 8, 8], layers: [flatten]}}\n{loss}optimizer: {{sgd: {{lr: 1}}}}\n"
    )
    assert config.loss.options["reduction"] == "mean"
    config = parse_config(
        "data: {name: digits}\noptimizer: {sgd: {lr: 1}}\n"
        f"model:\n  input: [1, 8, 8]\n  layers:\n    {pool}"
    )
    assert config.model.layers[0].options["tie_break"] == "column_major"


def test_the_commands_shown_name_files_that_are_there() -> None:
    commands = [line for block in blocks("") for line in block.splitlines()]
    assert commands
    for line in commands:
        assert line.startswith("gpucnn train configs/")
        assert (ROOT / line.split()[-1]).is_file()
