"""Where a run stands: the counters that a checkpoint saves and a resumed run goes on from."""

import math
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from gpucnn.errors import CheckpointError, ConfigError

FINAL = ("max_iterations", "epsilon", "early_stopping")
"""Stop reasons that a resumed run keeps. (`epochs` follows from the config, which may change.)"""


@dataclass(frozen=True)
class Best:
    """The epoch with the highest validation accuracy; among equals, the lowest loss."""

    epoch: int
    iteration: int
    loss: float
    accuracy: float


@dataclass
class Progress:
    """The position in the run and the running sums of the lines under way."""

    epoch: int = 0
    """Epochs completed."""
    batch: int = 0
    """Batches done of the epoch under way."""
    iteration: int = 0
    """Updates done."""
    images: int = 0
    """Training images seen."""
    epoch_loss: float = 0.0
    """Sum over the images of the epoch under way, so that its mean weighs them alike."""
    epoch_images: int = 0
    log_loss: float = 0.0
    """The same since the last log line."""
    log_images: int = 0
    stop: str | None = None
    best: Best | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; Python writes a float so that it reads back exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Progress":
        """`to_json`'s inverse; CheckpointError for anything else."""
        values = _checked(cls, values, "counters")
        if values["stop"] is not None and values["stop"] not in FINAL:
            raise CheckpointError(f"its counters are damaged: stop is {values['stop']!r}")
        if values["best"] is not None:
            values["best"] = Best(**_checked(Best, values["best"], "best"))
        if (values["batch"] > 0) != (values["epoch_images"] > 0):
            raise CheckpointError("its counters are damaged: batch and epoch_images disagree")
        return cls(**values)

    def count_update(self, images: int, loss: float) -> None:
        """One more update, on this many images of that loss, summed over them."""
        self.iteration, self.batch = self.iteration + 1, self.batch + 1
        self.images += images
        self.epoch_images, self.log_images = self.epoch_images + images, self.log_images + images
        self.epoch_loss, self.log_loss = self.epoch_loss + loss, self.log_loss + loss

    def note_best(self, loss: float, accuracy: float) -> bool:
        """Whether the epoch that has just been completed is the best so far; `best` is it then."""
        best = self.best
        if best is not None and (accuracy, -loss) <= (best.accuracy, -best.loss):
            return False
        self.best = Best(self.epoch, self.iteration, loss, accuracy)
        return True

    def check_within(self, *, epochs: int, batches: int) -> None:
        """CheckpointError or ConfigError where a run of `epochs` of `batches` has no such place."""
        if self.batch > batches:
            raise CheckpointError(f"its batch {self.batch} is beyond the {batches} of an epoch")
        begun = self.epoch + (self.batch > 0)
        if begun > epochs:
            raise ConfigError(
                f"train.epochs {epochs} is less than the {begun} that the checkpoint has begun:"
                " raise it"
            )


@dataclass
class Clock:
    """Seconds, the only thing in a run that does not repeat."""

    seconds: float = 0.0
    """The whole run, with validation and files."""
    training: float = 0.0
    """Loading batches and training steps alone."""
    log: float = 0.0
    """The same since the last log line."""

    def start(self) -> None:
        """Go on counting from now."""
        self._mark = time.perf_counter()

    def lap(self, *, training: bool = False) -> None:
        """Count the time since the last lap, as training or as something else."""
        now = time.perf_counter()
        elapsed, self._mark = now - self._mark, now
        self.seconds += elapsed
        if training:
            self.training += elapsed
            self.log += elapsed

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Clock":
        """From a checkpoint; CheckpointError where it is damaged."""
        return cls(**_checked(cls, values, "times"))


def _checked(cls: Any, values: Any, name: str) -> dict[str, Any]:
    """`values` as a dict with exactly the fields of `cls`, numbers finite and not negative."""
    kinds = {field.name: field.type for field in fields(cls)}
    if not isinstance(values, dict) or set(values) != set(kinds):
        raise CheckpointError(f"its {name} are not those of a run: expected {', '.join(kinds)}")
    for key, kind in kinds.items():
        value = values[key]
        if kind is int or kind is float:
            number = (int,) if kind is int else (int, float)
            sane = isinstance(value, number) and not isinstance(value, bool)
            if not sane or not 0 <= value < math.inf:
                raise CheckpointError(f"its {name} are damaged: {key} is {value!r}")
    return dict(values)
