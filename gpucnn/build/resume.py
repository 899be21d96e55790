"""Going on with a run: what must be the same, and what is brought over."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn.build.objects import Data
from gpucnn.config import Config, Spec, parse_config
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.training.checkpoint import Checkpoint, read_checkpoint
from gpucnn.training.run_folder import RunFolder, find_checkpoint, folder_of

MAY_CHANGE = ("train.epochs", "device", "data.resident", "output")


@dataclass(frozen=True)
class Resumed:
    """A checkpoint to go on from, and the run folder that it lies in."""

    checkpoint: Checkpoint
    source: Path
    folder: RunFolder
    best: bytes | None
    """The content of best.safetensors as of this checkpoint."""

    def in_place(self, run: RunFolder) -> bool:
        """Whether `run` is the folder that the checkpoint lies in."""
        return run.path.resolve() == self.folder.path

    def bring_over(self, run: RunFolder) -> None:
        """Make `run`'s metrics and checkpoints those of the run so far."""
        if not self.in_place(run):
            metrics = self.folder.metrics
            run.write(run.metrics, metrics.read_bytes() if metrics.is_file() else b"")
            run.write(run.last, self.source.read_bytes())
        if self.best is not None:
            run.write(run.best, self.best)


def open_checkpoint(config: Config, run: str | Path) -> Resumed:
    """Read the checkpoint that RUN means and check that `config` goes on with it.

    Raises ConfigError naming the keys that differ, CheckpointError where a file is missing or
    damaged. Writes nothing.
    """
    source = find_checkpoint(run, best=False)
    checkpoint = read_checkpoint(source)
    _check_config(config, checkpoint, source)
    return Resumed(checkpoint, source, folder_of(source), _best(checkpoint, source))


def saved_config(checkpoint: Checkpoint, source: Path) -> Config:
    """The config that a checkpoint was trained with; CheckpointError where it does not load."""
    try:
        return parse_config(checkpoint.config, name=str(source))
    except ConfigError as error:
        raise CheckpointError(
            f"{source} holds a config that this version of gpucnn does not take: {error}"
        ) from error


def check_data(checkpoint: Checkpoint, data: Data, source: Path) -> None:
    """CheckpointError unless the data is what the checkpoint was trained on."""
    for key, value in data.to_json().items():
        saved = checkpoint.data.get(key)
        if saved != value:
            raise CheckpointError(
                f"{source} was trained on other data: its {key} {saved}, now {value}; bring the"
                " data back, or train anew"
            )


def _check_config(config: Config, checkpoint: Checkpoint, source: Path) -> None:
    now = dict(_leaves(config, ""))
    then = dict(_leaves(saved_config(checkpoint, source), ""))
    changed = [
        f"{key} (was {then.get(key, 'not there')}, now {now.get(key, 'not there')})"
        for key in sorted(set(now) | set(then))
        if key not in MAY_CHANGE and (key not in now or key not in then or now[key] != then[key])
    ]
    if changed:
        raise ConfigError(
            f"the config is not that of {source}: {'; '.join(changed)}. Resuming accepts a"
            f" changed {', '.join(MAY_CHANGE)} and nothing else: undo these, or train anew"
        )


def _best(checkpoint: Checkpoint, source: Path) -> bytes | None:
    best, iteration = checkpoint.counters.get("best"), checkpoint.counters.get("iteration")
    if not isinstance(best, dict):
        return None
    # The checkpoint of the best epoch itself, whether or not best.safetensors came to be written.
    if best.get("iteration") == iteration:
        return source.read_bytes()
    beside = source.with_name("best.safetensors")
    found = read_checkpoint(beside) if beside.is_file() else None
    if found is None or found.counters.get("iteration") != best.get("iteration"):
        raise CheckpointError(
            f"the best weights so far, of epoch {best.get('epoch')}, belong in {beside}, but"
            " are not there: bring that file back, or resume from an earlier checkpoint"
        )
    return beside.read_bytes()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A config's values by their key path, as --set writes it."""
    if isinstance(value, Spec):
        value = {value.kind: value.options} if value.options else value.kind
    elif hasattr(type(value), "model_fields"):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    elif hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, list) and any(isinstance(item, (list, Spec)) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        yield path, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{path}.{key}" if path else str(key))
