"""Train configs and record the seconds until 98, 99 and 99.5 % of the test images are right.

    python benchmarks/time_to_accuracy.py CONFIG ... [--device cuda] [--seeds 0 1 2] [--record]

The clock covers training alone: making batches and steps. It stands still while the network is
built, the data are loaded and, behind each epoch, the test set is evaluated; so a time is that of
a whole number of epochs. The test accuracy is looked at and decides nothing. An epoch and an
evaluation come first that do not count: after them kernels are compiled and libraries have chosen.
Capturing graphs counts: each training does it anew.

Beside it the same network in PyTorch, from the same weights and with the same learning rates, in
float32 without TF32, on images that lie on the device: eagerly, on a GPU also as CUDA graphs. It
draws its own order of the images; so a config that augments, averages weights or clips is measured
alone.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from machine import record, torch_on
from trainers import trainer

import gpucnn
from gpucnn.build.objects import (
    Data,
    build_model,
    build_optimizer,
    build_schedule,
    evaluation_loader,
    load_data,
)
from gpucnn.config import Config, load_config
from gpucnn.data import Dataset
from gpucnn.errors import GpucnnError
from gpucnn.ops import Ops
from gpucnn.training.callbacks import Callback, Record
from gpucnn.training.evaluation import evaluate
from gpucnn.training.trainer import Settings, Trainer

ACCURACIES = (0.98, 0.99, 0.995)

Point = dict[str, float]
"""epoch (from 1), seconds of training until its end, test accuracy then."""


class Curve(Callback):
    """The test accuracy behind each epoch, with the clock's seconds of training."""

    def __init__(self, test: Any) -> None:
        self.points: list[Point] = []
        self._test = test

    def on_epoch(self, trainer: Trainer, record: Record) -> None:
        average = trainer.average
        with average.applied() if average is not None else nullcontext():
            # Not in the trainer's arena: its plan, and with it the graph, would change.
            found = evaluate(trainer.model, trainer.loss, self._test, trainer.ops)
        seconds = trainer.clock.training
        self.points.append(point(trainer.progress.epoch, seconds, found.accuracy))


def point(epoch: int, seconds: float, accuracy: float) -> Point:
    return {"epoch": epoch, "seconds": seconds, "accuracy": accuracy}


def ours(config: Config, ops: Ops, data: Data, epochs: int) -> list[Point]:
    """gpucnn's curve."""
    t, curve = config.train, Curve(data.test)
    settings = Settings(epochs, clip_norm=t.clip_norm, ema=t.ema, cuda_graph=t.cuda_graph)
    trainer(config, ops, data, settings, [curve]).fit()
    return curve.points


def theirs(
    config: Config, ops: Ops, data: Data, epochs: int, torch: Any, *, graph: bool
) -> list[Point]:
    """PyTorch's curve."""
    from torch_networks import take_weights
    from torch_steps import TorchSteps

    device = "cpu" if ops.name == "cpu" else "cuda"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def placed(dataset: Dataset) -> tuple[Any, Any]:
        """All images as the network takes them, and their labels, on the device."""
        batches = list(evaluation_loader(config, dataset, data.normalization).epoch(0))
        images = torch.from_numpy(np.concatenate([batch.images for batch in batches]))
        return images.to(device), torch.from_numpy(dataset.labels).long().to(device)

    training = TorchSteps(config, *placed(data.train.dataset), graph=graph)
    take_weights(training.network, build_model(config, ops), ops)
    test = placed(data.test.dataset) if data.test is not None else None
    schedule, base = build_schedule(config), build_optimizer(config).lr
    count, size = len(data.train), data.train.batch_size
    points, seconds, iteration = [], 0.0, 0
    torch.manual_seed(config.seed)
    training.use_mode()
    for epoch in range(epochs):
        wait()
        start = perf_counter()
        order = torch.randperm(len(data.train.dataset), device=device)
        for number in range(count):
            training.set_lr(schedule.lr(base, iteration, count, epochs * count))
            training.step(order[number * size : (number + 1) * size])
            iteration += 1
        wait()
        seconds += perf_counter() - start
        assert test is not None
        points.append(point(epoch + 1, seconds, training.accuracy(*test)))
    return points


def why_alone(config: Config) -> str | None:
    """What of a config PyTorch's side has not."""
    t = config.train
    missing = {"data.augment": config.data.augment, "ema": t.ema, "clip_norm": t.clip_norm}
    return ", ".join(name for name, value in missing.items() if value) or None


def seconds_to(points: list[Point], accuracy: float) -> float | None:
    """Seconds of training behind the first epoch that reached it."""
    return next((p["seconds"] for p in points if p["accuracy"] >= accuracy), None)


def reached(curves: list[list[Point]]) -> dict[str, Any]:
    """By accuracy the seconds of each curve, null where it is not reached, and their median."""
    found: dict[str, Any] = {}
    for accuracy in ACCURACIES:
        times = [seconds_to(points, accuracy) for points in curves]
        known = [time for time in times if time is not None]
        middle = median(known) if len(known) == len(times) else None
        found[f"{100 * accuracy:g} %"] = {"seconds": times, "median_seconds": middle}
    return found


def measure(path: Path, ops: Ops, torch: Any, seeds: list[int]) -> dict[str, Any]:
    """The curves of a config by who trained, one a seed, and when they reached what."""
    runs: dict[str, Any] = {"gpucnn": ours}
    alone = why_alone(load_config(path))
    if torch is not None and alone is None:
        for name, graph in (("torch_eager", False), ("torch_graph", True)):
            if ops.name != "cpu" or not graph:
                runs[name] = lambda *which, graph=graph: theirs(*which, torch, graph=graph)
    curves: dict[str, list[list[Point]]] = {name: [] for name in runs}
    for number, seed in enumerate(seeds):
        config = load_config(path, overrides=[f"seed={seed}"])
        data = load_data(config)
        if data.test is None:
            raise GpucnnError(f"{path}: data set {config.data.name} has no test images")
        for name, run in runs.items():
            if number == 0 and ops.name != "cpu":
                run(config, ops, data, 1)
            points = run(config, ops, data, config.train.epochs)
            curves[name].append(points)
            last = points[-1]
            print(
                f"{path.stem}, seed {seed}, {name}: {last['accuracy']:.2%} of the test images after"
                f" {last['epoch']} epochs, {last['seconds']:.3f} s of training",
                flush=True,
            )
    return {
        "seeds": seeds,
        "alone": alone,
        "runs": {name: {**reached(curves[name]), "curves": curves[name]} for name in runs},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument(
        "--against", choices=("torch", "none"), help="default: torch where it is installed"
    )
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    args = parser.parse_args()
    try:
        ops = gpucnn.get_ops(args.device)
        torch = torch_on(ops, args.against)
        for path in args.configs:
            figures = measure(path, ops, torch, args.seeds)
            for name, run in figures["runs"].items():
                for accuracy in (key for key in run if key != "curves"):
                    times = ", ".join(
                        "never" if s is None else f"{s:.3f} s" for s in run[accuracy]["seconds"]
                    )
                    print(f"{path.stem}, {name}, to {accuracy}: {times}")
            if args.record:
                print(record(f"time_to_accuracy {path.stem}", figures, ops=ops))
    except GpucnnError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
