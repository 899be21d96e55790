"""Small whole runs for the tests of gpucnn.build: configs, and what a run left behind."""

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from gpucnn.build import Summary, train
from gpucnn.config import Config, parse_config
from gpucnn.training.checkpoint import read_checkpoint
from gpucnn.training.run_folder import RunFolder

# Everything that a resumed run has to bring back: augmentation, shuffles, dropout, momentum,
# running statistics, the average, early stopping, a schedule, an epoch that ends in a small batch.
TEXT = """
seed: 3
data:
  name: synthetic
  samples: 40
  classes: 3
  image: [1, 6, 6]
  batch_size: 9
  validation: 0.2
  augment: [horizontal_flip, {random_shift: {pixels: 1}}]
model:
  input: [1, 6, 6]
  layers:
    - conv2d: {filters: 4, kernel_size: 3, padding: 1}
    - batch_norm2d
    - relu
    - max_pool2d: {kernel_size: 2}
    - flatten
    - dropout: {rate: 0.3}
    - linear: {units: 3}
optimizer: {sgd: {lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 1e-3}}
schedule: {cosine: {warmup_epochs: 1}}
train: {epochs: 3, early_stopping: 5, clip_norm: 5, ema: 0.9, log_every: 2}
"""


def config(output: Path, *overrides: str) -> Config:
    """The config above with changes as --set takes them."""
    return _parsed(overrides).model_copy(update={"output": str(output)})


@cache
def _parsed(overrides: tuple[str, ...]) -> Config:
    return parse_config(TEXT, overrides=[*overrides, "output=unused"])


def run(output: Path, *overrides: str, **keywords: Any) -> tuple[Summary, str]:
    """Train into `output`; the summary and what was printed."""
    out = io.StringIO()
    summary = train(config(output, *overrides), console=Console(file=out, width=200), **keywords)
    return summary, out.getvalue()


def unbroken_outcome(output: Path) -> dict[str, Any]:
    """What a run that nothing interrupts leaves behind; it must have what resuming is about."""
    summary, _ = run(output)
    assert summary.stop_reason == "epochs"
    found = outcome(output)
    assert {"last ema.0.weight", "last optimizer.velocity"} <= set(found)
    assert any(key.startswith("last model.1.") for key in found)
    assert found["last counters"]["best"]["iteration"] > 0
    return found


def records(output: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the times."""
    lines = [json.loads(line) for line in RunFolder(output).metrics.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in lines
    ]


def outcome(output: Path) -> dict[str, Any]:
    """All that must not depend on where a run was interrupted."""
    folder = RunFolder(output)
    found: dict[str, Any] = {"metrics": records(output)}
    for name, path in (("last", folder.last), ("best", folder.best)):
        checkpoint = read_checkpoint(path)
        found[f"{name} counters"] = checkpoint.counters
        found |= {
            f"{name} {key}": (a.dtype.str, a.shape, a.tobytes())
            for key, a in checkpoint.tensors.items()
        }
    summary = json.loads(folder.summary.read_text())
    del summary["seconds"], summary["images_per_second"]
    return found | {"summary": summary}


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
