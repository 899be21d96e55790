"""The files of a profile: profile.json, and its tables as profile.csv and lines.csv."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from gpucnn.errors import ConfigError, DataError
from gpucnn.profiling.access import LineAccess
from gpucnn.profiling.profile import Profile, Row
from gpucnn.training.files import write_atomically

T = TypeVar("T")

TABLES = ("layers", "methods", "kernels", "calls")


class ProfileFolder:
    """A folder with the files of one profile."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.json = self.path / "profile.json"
        self.csv = self.path / "profile.csv"
        self.lines = self.path / "lines.csv"

    def check_free(self) -> None:
        """ConfigError where a profile already lies here; other files are no obstacle."""
        if self.json.exists():
            raise ConfigError(
                f"output {self.path} already holds a profile ({self.json.name}): choose another"
                " folder with --output, or remove it"
            )

    def create(self) -> None:
        """Make the folder; ConfigError where that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output {self.path} cannot be a folder: {error.strerror or error}; choose another"
                " with --output"
            ) from error

    def write(self, profile: Profile) -> None:
        """Write each file whole or not at all; lines.csv where source lines were counted."""
        text = json.dumps(profile.to_json(), indent=1, allow_nan=False) + "\n"
        write_atomically(self.csv, to_csv(profile).encode())
        if profile.lines:
            write_atomically(self.lines, lines_to_csv(profile.lines).encode())
        write_atomically(self.json, text.encode())


def read_profile(path: str | Path) -> Profile:
    """Read a profile.json, or that of a folder; DataError where it is missing or damaged."""
    file = Path(path)
    if file.is_dir():
        file = ProfileFolder(file).json
    return read_json(file, "profile", Profile.from_json)


def read_json(file: Path, kind: str, parse: Callable[[Any], T]) -> T:
    """What `parse` makes of a file of JSON; DataError where it is missing or damaged."""
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the {kind} {file}: {reason}") from error
    try:
        return parse(values)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def to_csv(profile: Profile) -> str:
    """A line for each row, with the table that it belongs to; an unknown figure is empty.

    `predicted` is 1 where the times are a model's, 0 where they were measured.
    """
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, ["table", "predicted", *names], lineterminator="\n")
    writer.writeheader()
    for table in TABLES:
        for row in getattr(profile, table):
            values = asdict(row)
            if row.block is not None:
                values["block"] = " x ".join(map(str, row.block))
            writer.writerow({"table": table, "predicted": int(profile.predicted), **values})
    return text.getvalue()


def lines_to_csv(lines: Sequence[LineAccess]) -> str:
    """A line for each kind of access of a source line, the faults in words."""
    text = io.StringIO()
    names = [field.name for field in fields(LineAccess)]
    writer = csv.DictWriter(text, [*names, "fault"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(line), "fault": line.fault} for line in lines)
    return text.getvalue()
