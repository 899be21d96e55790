"""Time training with sampled profiles: what --profile-every N costs a real run.

    python benchmarks/profile_overhead.py [--record] [--steps 300]

One run takes a sample every few steps; what a sample costs is the median of what it adds to the
step it observes and to the one after, which it writes in, over the median of the steps between.
All come from one run, so other work on the machine disturbs them alike. The cost of a sample does
not depend on N: sampling every N-th step costs a run a share of it, sample / (N * step).
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import record
from trainers import trainer

import gpucnn
from gpucnn.build.objects import load_data
from gpucnn.config import load_config
from gpucnn.profiling.sampling import Sampler
from gpucnn.training.callbacks import Callback, MetricsLog
from gpucnn.training.trainer import Settings, Trainer

CONFIGS = Path(__file__).parent.parent / "configs"
RUNS = (("mnist_lenet", 64), ("digits_lenet", 32))
EVERY = 5
"""Steps from one sample to the next while measuring."""

SHARE = 0.02
"""The overhead that a run may have."""


class Stamps(Callback):
    """The time after each step, before any other callback."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def on_step(self, trainer: Trainer) -> None:
        self.at.append(time.perf_counter_ns())


def made_up(name: str, batch: int, steps: int) -> Trainer:
    """A run of a config's network over `steps` batches of made-up images."""
    config = load_config(CONFIGS / f"{name}.yaml")
    image = list(config.model.input)
    data = f"data={{name: synthetic, samples: {steps * batch}, image: {image},"
    data += f" batch_size: {batch}, validation: 0}}"
    config = load_config(CONFIGS / f"{name}.yaml", overrides=[data])
    return trainer(config, gpucnn.get_ops("cpu"), load_data(config), Settings(epochs=1))


def measure(name: str, batch: int, steps: int) -> dict[str, object]:
    run, stamps = made_up(name, batch, steps), Stamps()
    with tempfile.TemporaryDirectory() as folder:
        metrics = MetricsLog(Path(folder) / "metrics.jsonl")
        run.callbacks += [stamps, Sampler(metrics, EVERY), metrics]
        run.fit()
    # Number i (from 1) is the time of step i and of what came after step i - 1.
    times = dict(enumerate(np.diff(stamps.at) / 1e6, start=2))
    sampled = [i for i in times if i % EVERY == 0 and i > 2 * EVERY and i + 1 in times]
    between = [ms for i, ms in times.items() if i > 2 * EVERY and i % EVERY not in (0, 1)]
    step = float(np.median(between))
    added = [times[i] + times[i + 1] - 2 * step for i in sampled]
    low, sample, high = (float(ms) for ms in np.percentile(added, (25, 50, 75)))
    return {
        "config": name,
        "batch": batch,
        "samples": len(sampled),
        "step_ms": step,
        "sample_ms": sample,
        "sample_quartiles_ms": [low, high],
        "overhead_every_50": sample / (50 * step),
        "least_every_for_2_percent": max(1, math.ceil(sample / (SHARE * step))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    rows = []
    for name, batch in RUNS:
        row = measure(name, batch, args.steps)
        rows.append(row)
        print(
            f"{name:14} batch {batch}: a sample adds {row['sample_ms']:.2f} ms to steps of"
            f" {row['step_ms']:.2f} ms: {row['overhead_every_50']:.2%} at every 50th step, under"
            f" {SHARE:.0%} from every {row['least_every_for_2_percent']}",
            flush=True,
        )
    if args.record:
        print(record("profile_overhead", {"rows": rows}, None))


if __name__ == "__main__":
    main()
