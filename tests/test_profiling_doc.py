"""docs/profiling.md: its outputs are of stored profiles, and those of its commands.

That they are what the profiles say is tested with the other tables (test_tables.py), commands and
links with those of all pages (test_pages.py).
"""

import json
import re
from pathlib import Path

import pytest

from gpucnn.profiling.files import read_profile

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "profiling.md"
TEXT = FILE.read_text(encoding="utf-8")

BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
STORED = sorted(set(re.findall(r"<!-- output: (\S+) ", TEXT)))


def test_there_is_something_to_test() -> None:
    assert len(COMMANDS) >= 6
    assert len(STORED) == 2


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
