"""How a run ended: summary.json and the table at the end."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Summary:
    """The keys of summary.json. The test figures are None without a test set, and in a run that
    was interrupted or met NaN or Inf: the test set is evaluated once, at the end."""

    test_accuracy: float | None
    test_loss: float | None
    stop_reason: str
    epochs: int
    iterations: int
    seconds: float
    images_per_second: float
    device: str
    parameters: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def print_summary(console: Console, summary: Summary, folder: Path, weights: str) -> None:
    """The table that ends a run; `weights` says which were evaluated."""
    rows = [("stopped by", summary.stop_reason)]
    if summary.test_accuracy is not None:
        rows.append((f"test accuracy ({weights})", f"{summary.test_accuracy:.2%}"))
        rows.append((f"test loss ({weights})", f"{summary.test_loss:.4f}"))
    rows += [
        ("epochs, iterations", f"{summary.epochs:,}, {summary.iterations:,}"),
        ("time", f"{summary.seconds:.1f} s, {summary.images_per_second:,.0f} images/s"),
        ("device, parameters", f"{summary.device}, {summary.parameters:,}"),
        ("run folder", str(folder)),
    ]
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(table)
