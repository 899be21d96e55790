"""The pages for readers: commands parse, files are there, links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from gpucnn.cli import parser
from gpucnn.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), ROOT / "kernels" / "README.md", *ROOT.glob("docs/*.md"))
}
PROGRAMS = ("gpucnn ", "python ", ".venv/bin/python ")
FOLDERS = "benchmarks|configs|docs|gpucnn|kernels|scripts|tests"


def commands(text: str) -> list[str]:
    """Those of the blocks of shell; within sentences, those that are no form with [] and |."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = [c for c in re.findall(r"`([^`]+)`", prose(text)) if not re.search(r"[\[|…]", c)]
    lines = [line for block in blocks for line in block.splitlines()]
    return [c for c in (*lines, *inline) if c.startswith(PROGRAMS)]


def prose(text: str) -> str:
    """Without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a link can name: headings as GitHub writes them, and names set by hand."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a name="([^"]+)">', text))


@pytest.mark.parametrize(
    ("page", "command"), [(p, c) for p, text in PAGES.items() for c in commands(text)]
)
def test_a_command_parses_and_its_files_exist(page: str, command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    if program == "gpucnn" and words[1:]:
        parser().parse_args(words)
    elif program == "gpucnn":
        assert words[0] in parser().format_help()
    else:
        assert (ROOT / words[0]).exists()
    named = [word for word in words if word.startswith("configs/") and "NAME" not in word]
    assert all((ROOT / word).exists() for word in named)


def test_commands_are_found_and_wrong_ones_refused() -> None:
    wrong, form = "gpucnn profile a.yaml --gpus h200", "gpucnn train CONFIG [--output DIR]"
    assert commands(f"`{wrong}`, or `{form}`.\n```sh\npython a.py\n```\n") == ["python a.py", wrong]
    with pytest.raises(ConfigError, match="--gpus"):
        parser().parse_args(shlex.split(wrong)[1:])


@pytest.mark.parametrize("page", PAGES)
def test_the_files_it_names_are_there(page: str) -> None:
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+\.\w+)`", PAGES[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(PAGES[page]))):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            lost.append(link)
    assert lost == []
