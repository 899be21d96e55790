"""The files of a run, and where they lie."""

import json
from pathlib import Path
from typing import Any

from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.training.files import write_atomically


class RunFolder:
    """A folder with config.yaml, environment.json, metrics.jsonl, checkpoints, summary.json."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.curves = self.path / "curves.png"
        self.summary = self.path / "summary.json"
        self.last = self.path / "checkpoints" / "last.safetensors"
        self.best = self.path / "checkpoints" / "best.safetensors"

    def check_free(self) -> None:
        """ConfigError where a run already lies here; other files are no obstacle."""
        for file in (self.last, self.best, self.summary):
            if file.exists():
                raise ConfigError(
                    f"output {self.path} already holds a run ({file.relative_to(self.path)}):"
                    f" continue it with --resume {self.path}, or choose another output"
                )

    def create(self) -> None:
        """Make the folder; ConfigError where that cannot be."""
        try:
            self.last.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output {self.path} cannot be a run folder: {error.strerror or error}; choose"
                " another output"
            ) from error

    def write_json(self, path: Path, values: dict[str, Any]) -> None:
        """Write one of the folder's JSON files whole or not at all."""
        self.write(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())

    def write(self, path: Path, data: bytes) -> None:
        """Write one of the folder's files whole or not at all; ConfigError where that fails."""
        try:
            write_atomically(path, data)
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror or error}; make room or choose another"
                " output"
            ) from error


def find_checkpoint(run: str | Path, *, best: bool) -> Path:
    """The checkpoint that RUN means: a file is itself; of a folder its best if asked, else last."""
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path} does not exist: name a run folder or a checkpoint file")
    folder = RunFolder(path)
    for file in (folder.best, folder.last) if best else (folder.last,):
        if file.is_file():
            return file
    raise CheckpointError(
        f"{path} holds no {'checkpoint' if best else folder.last.relative_to(path)}: the run"
        " stopped before the end of its first epoch, or this is not a run folder"
    )


def folder_of(checkpoint: Path) -> RunFolder:
    """The run folder that a checkpoint file belongs to, by its place."""
    return RunFolder(checkpoint.resolve().parent.parent)
