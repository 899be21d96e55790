"""What a run shows while it goes on: a progress bar on a terminal, plain lines elsewhere."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gpucnn.training.callbacks import Callback, Record

if TYPE_CHECKING:
    from gpucnn.training.trainer import Trainer


class PlainLines(Callback):
    """A line for each log and each epoch."""

    def __init__(self, console: Console):
        self._console = console

    def on_log(self, trainer: "Trainer", record: Record) -> None:
        self._print(
            f"epoch {record['epoch']}/{trainer.settings.epochs}  iteration {record['iteration']}"
            f"  {_figures(record)}"
        )

    def on_epoch(self, trainer: "Trainer", record: Record) -> None:
        self._print(_epoch_line(trainer, record))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class ProgressBar(PlainLines):
    """A bar over the run's iterations, with the latest figures; epochs scroll by above it."""

    counts_only = True

    def __init__(self, console: Console):
        super().__init__(console)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._task = TaskID(0)

    def on_start(self, trainer: "Trainer") -> None:
        self._task = self._bar.add_task(
            "", total=trainer.total_iterations, epoch=self._epoch(trainer), figures=""
        )
        self._bar.start()

    def on_step(self, trainer: "Trainer") -> None:
        self._bar.update(
            self._task, completed=trainer.progress.iteration, epoch=self._epoch(trainer)
        )

    def on_log(self, trainer: "Trainer", record: Record) -> None:
        self._bar.update(self._task, figures=_figures(record))

    def on_stop(self, trainer: "Trainer", reason: str) -> None:
        self._bar.stop()

    @staticmethod
    def _epoch(trainer: "Trainer") -> str:
        epochs = trainer.settings.epochs
        return f"{min(trainer.progress.epoch + 1, epochs)}/{epochs}"


def display(console: Console) -> Callback:
    """The callback that suits the console."""
    return ProgressBar(console) if console.is_terminal else PlainLines(console)


def _figures(record: Record) -> str:
    return (
        f"loss {record['loss']:.4f}  lr {record['lr']:.3g}"
        f"  {record['images_per_second']:,.0f} images/s"
    )


def _epoch_line(trainer: "Trainer", record: Record) -> str:
    line = f"epoch {record['epoch']}/{trainer.settings.epochs}  {_figures(record)}"
    if record["validation_loss"] is not None:
        line += (
            f"  validation loss {record['validation_loss']:.4f}"
            f"  accuracy {record['validation_accuracy']:.2%}"
        )
    return line + ("  (best so far)" if record["best"] else "")
