"""curves.png: how loss, accuracy and learning rate went."""

import io
import json
from pathlib import Path
from typing import Any

from gpucnn.training.files import write_atomically


def draw_curves(metrics: Path, picture: Path) -> bool:
    """Draw the lines of metrics.jsonl; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    records = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    epochs = [r for r in records if r["event"] == "epoch"]
    # A Figure of its own, without pyplot, needs no display and leaves no global state.
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    logs = [r for r in records if r["event"] == "log"]
    _line(loss, logs, "loss", "training", linewidth=0.8, alpha=0.5)
    _line(loss, epochs, "loss", "training, epoch mean", marker=".")
    _line(loss, epochs, "validation_loss", "validation", marker=".")
    _line(accuracy, epochs, "validation_accuracy", "validation", marker=".")
    _line(rate, sorted(records, key=lambda r: r["iteration"]), "lr", "learning rate")
    for axes, title in ((loss, "loss"), (accuracy, "accuracy"), (rate, "learning rate")):
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    write_atomically(picture, data.getvalue())
    return True


def _line(axes: Any, records: list[dict[str, Any]], key: str, label: str, **style: Any) -> None:
    points = [(r["iteration"], r[key]) for r in records if r.get(key) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, **style)
