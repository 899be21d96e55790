"""docs/profiling.md: its commands parse, its links lead somewhere, its outputs are stored ones.

That the outputs are those of the stored profiles is tested with the other tables (test_tables.py).
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from gpucnn.cli import parser
from gpucnn.errors import ConfigError
from gpucnn.profiling.files import read_profile

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "profiling.md"
TEXT = FILE.read_text(encoding="utf-8")

BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
INLINE = re.findall(r"`((?:gpucnn|python) [^`]+)`", TEXT)
LINKS = re.findall(r"\]\(([^)]+)\)", TEXT)
STORED = sorted(set(re.findall(r"<!-- output: (\S+) ", TEXT)))


def test_there_is_something_to_test() -> None:
    assert len(COMMANDS) >= 6
    assert len(STORED) == 2
    assert len(LINKS) > 5


@pytest.mark.parametrize("command", [*COMMANDS, *INLINE])
def test_commands_parse_and_their_files_exist(command: str) -> None:
    program, *words = shlex.split(command)
    if program == "python":
        assert (ROOT / words[0]).exists()
        return
    assert program == "gpucnn"
    if len(words) > 1:  # more than the command's name
        parser().parse_args(words)
    assert words[0] in (parser().format_help())
    assert all((ROOT / word).exists() for word in words if word.startswith("configs/"))


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(ConfigError, match="--gpus"):
        parser().parse_args(["profile", "a.yaml", "--gpus", "h200"])


@pytest.mark.parametrize("link", [link for link in LINKS if "://" not in link])
def test_links_lead_somewhere(link: str) -> None:
    assert (FILE.parent / link).exists()


def into_any_folder(command: str) -> str:
    return command.split(" --output ")[0]


@pytest.mark.parametrize("name", STORED)
def test_the_stored_profiles_are_of_the_commands(name: str) -> None:
    path = ROOT / "benchmarks" / "results" / name
    stored = read_profile(path)
    command = stored.meta["command"]
    assert into_any_folder(command) in map(into_any_folder, COMMANDS)
    assert stored.meta["commit"]
    assert "/home/" not in path.read_text() + command
    assert "/root" not in path.read_text()
    assert stored.predicted == (stored.meta["device"] == "emulator")


def test_nothing_is_said_to_be_measured_on_a_gpu() -> None:
    stored = [json.loads((ROOT / "benchmarks/results" / name).read_text()) for name in STORED]
    assert {profile["meta"]["device"] for profile in stored} == {"cpu", "emulator"}
    assert "Not measured yet" in TEXT.split("## On a GPU", 1)[1]
