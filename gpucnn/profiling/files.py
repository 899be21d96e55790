"""The files of a profile: profile.json, and profile.csv with a line for each row of its tables."""

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path

from gpucnn.errors import ConfigError, DataError
from gpucnn.profiling.profile import Profile, Row
from gpucnn.training.files import write_atomically

TABLES = ("layers", "methods", "kernels", "calls")


class ProfileFolder:
    """A folder with the files of one profile."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.json = self.path / "profile.json"
        self.csv = self.path / "profile.csv"

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
        """Write profile.json and profile.csv, each whole or not at all."""
        text = json.dumps(profile.to_json(), indent=1, allow_nan=False) + "\n"
        write_atomically(self.csv, to_csv(profile).encode())
        write_atomically(self.json, text.encode())


def read_profile(path: str | Path) -> Profile:
    """Read a profile.json, or that of a folder; DataError where it is missing or damaged."""
    file = Path(path)
    if file.is_dir():
        file = ProfileFolder(file).json
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the profile {file}: {error}") from error
    try:
        return Profile.from_json(values)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def to_csv(profile: Profile) -> str:
    """A line for each row, with the table that it belongs to; an unknown figure is empty."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, ["table", *names], lineterminator="\n")
    writer.writeheader()
    for table in TABLES:
        for row in getattr(profile, table):
            values = asdict(row)
            if row.block is not None:
                values["block"] = " x ".join(map(str, row.block))
            writer.writerow({"table": table, **values})
    return text.getvalue()
