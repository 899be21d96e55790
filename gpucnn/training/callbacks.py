"""What watches a run from outside the loop: metrics, early stopping, checkpoints."""

import json
import math
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucnn.errors import CheckpointError
from gpucnn.training.checkpoint import Checkpoint, encode_checkpoint, write_checkpoint
from gpucnn.training.run_folder import RunFolder

if TYPE_CHECKING:
    from gpucnn.training.trainer import Trainer

Record = dict[str, Any]
"""A line of metrics.jsonl."""


class Callback:
    """Hooks that a Trainer calls, in the order of its list of callbacks.

    What a callback needs to go on after a resume is `state()`, plain JSON values; a checkpoint
    saves it under `name` (None: nothing to save).
    """

    name: str | None = None
    counts_only = False
    """Whether `on_step` looks at the progress alone. For any other, the device is never ahead."""

    def on_start(self, trainer: "Trainer") -> None:
        """Before the first step, of a resumed run too."""

    def on_step(self, trainer: "Trainer") -> None:
        """After each update."""

    def on_log(self, trainer: "Trainer", record: Record) -> None:
        """Each `log_every` updates."""

    def on_epoch(self, trainer: "Trainer", record: Record) -> None:
        """After each epoch's validation; the progress already points at the next epoch."""

    def on_stop(self, trainer: "Trainer", reason: str) -> None:
        """After the last step, whatever ended the run; an error's reason is "error"."""

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; CheckpointError, with nothing changed, for anything else."""


class MetricsLog(Callback):
    """Appends each record as a line to metrics.jsonl; a resumed run cuts it to its checkpoint."""

    name = "metrics"

    def __init__(self, path: Path):
        self._path = path
        self._lines = 0

    def on_start(self, trainer: "Trainer") -> None:
        with open(self._path, "a+b") as file:
            file.seek(0)
            file.truncate(sum(len(line) for line in islice(file, self._lines)))

    def on_log(self, trainer: "Trainer", record: Record) -> None:
        self._append((json.dumps(record, allow_nan=False) + "\n").encode())
        self._lines += 1

    def on_epoch(self, trainer: "Trainer", record: Record) -> None:
        self.on_log(trainer, record)
        self._append(b"", sync=True)

    def on_stop(self, trainer: "Trainer", reason: str) -> None:
        self._append(b"", sync=True)

    def _append(self, data: bytes, *, sync: bool = False) -> None:
        """With `sync` to the disk, so that no checkpoint counts lines that a crash then loses."""
        with open(self._path, "ab") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())

    def state(self) -> dict[str, Any]:
        return {"lines": self._lines}

    def load_state(self, state: dict[str, Any]) -> None:
        self._lines = int(_number(state, "lines"))


class EarlyStopping(Callback):
    """Stops after `patience` epochs in a row without a validation loss lower by `min_delta`.

    The loss rather than the accuracy: it still moves where a small validation set's accuracy has
    come to stand. (The best checkpoint goes by accuracy, which is what a user wants of it.)
    """

    name = "early_stopping"

    def __init__(self, patience: int, min_delta: float = 0.0):
        self._patience, self._min_delta = patience, min_delta
        self._best: float | None = None
        self._waited = 0

    def on_epoch(self, trainer: "Trainer", record: Record) -> None:
        loss = record["validation_loss"]
        if self._best is None or loss < self._best - self._min_delta:
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        if self._waited >= self._patience:
            trainer.request_stop("early_stopping")

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def load_state(self, state: dict[str, Any]) -> None:
        waited = int(_number(state, "waited"))
        best = None if state.get("best") is None else float(_number(state, "best"))
        self._best, self._waited = best, waited


class CheckpointWriter(Callback):
    """Writes last.safetensors after each epoch and on interruption, best.safetensors when best.

    Must be the last callback, so that it saves what the others have just counted.
    """

    def __init__(
        self, folder: RunFolder, *, config: str, data: dict[str, Any], versions: dict[str, str]
    ):
        self._folder = folder
        self._config, self._data, self._versions = config, data, versions

    def on_epoch(self, trainer: "Trainer", record: Record) -> None:
        data = self._encode(trainer)
        # Last first: should the machine stop between the two, the resumed run finds that its own
        # checkpoint is the best one and writes best.safetensors from it.
        write_checkpoint(self._folder.last, data)
        if record["best"]:
            write_checkpoint(self._folder.best, data)

    def on_stop(self, trainer: "Trainer", reason: str) -> None:
        if reason == "interrupted":
            write_checkpoint(self._folder.last, self._encode(trainer))

    def _encode(self, trainer: "Trainer") -> bytes:
        tensors, counters, times = trainer.snapshot()
        return encode_checkpoint(
            Checkpoint(
                tensors=tensors,
                config=self._config,
                counters=counters,
                data=self._data,
                versions=self._versions,
                times=times,
            )
        )


def _number(state: Any, key: str) -> float:
    value = state.get(key) if isinstance(state, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise CheckpointError(f"its callbacks' counters are damaged: {key} is {value!r}")
    return value
