"""Two of the configs' networks, trained for some steps on synthetic images beside the cpu.

And once more by whole steps, to the same bits: as CUDA graphs and eagerly, on batches of the host,
copied ahead, and made on the device.
"""

from pathlib import Path
from typing import Any

import numpy as np

import gpucnn
from acceptance.feeds import each_feed
from acceptance.graphs import both_ways
from acceptance.sections import Deadline, Section
from gpucnn.build.objects import build_loss, build_model, build_optimizer
from gpucnn.config import load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NETWORKS = (("mnist_lenet", 64, 20), ("cifar10_resnet20", 32, 10))
"""config, images a step, steps"""

LEARNING_RATE = 0.01
TOLERANCE = 1e-3
"""Of the first loss: rounding that some steps have passed on. A wrong gradient differs by more."""


def training(section: Section, device: str, deadline: Deadline, quick: bool) -> None:
    """The loss curves of the device and the cpu, step by step."""
    networks = (("mnist_lenet", 2, 3),) if quick else NETWORKS

    def trained(network: tuple[str, int, int]) -> None:
        name, batch, steps = network
        here, there = (curve(name, where, batch, steps, deadline) for where in (device, "cpu"))
        apart = max(abs(a - b) / there[0] for a, b in zip(here, there, strict=False))
        row = {"network": name, "batch": batch, "steps": steps, "apart": apart}
        config = load_config(CONFIGS / f"{name}.yaml")
        images, labels = synthetic(batch, tuple(config.model.input))
        row |= both_ways(config, device, images, labels, steps)
        row |= each_feed(config, device, batch, steps)
        row |= {"losses": here, "cpu_losses": there}
        same = row["same_bits"] and row["same_bits_fed"]
        finished = len(here) == len(there) == steps and row["graph_replays"] >= steps
        section.add(row, failed=not (finished and apart <= TOLERANCE and same))

    section.each(networks, trained, deadline, lambda: gpucnn.get_ops(device))


def curve(name: str, device: str, batch: int, steps: int, deadline: Deadline) -> list[float]:
    """The losses of the first steps; fewer of them where the time is up."""
    config, ops = load_config(CONFIGS / f"{name}.yaml"), gpucnn.get_ops(device)
    model, loss, optimizer = build_model(config, ops), build_loss(config), build_optimizer(config)
    optimizer.bind(model.parameters(), ops)
    images, labels = synthetic(batch * 4, tuple(config.model.input))
    losses: list[float] = []
    for step in range(steps):
        if not deadline.left:
            break
        part = slice(batch * (step % 4), batch * (step % 4 + 1))
        model.set_step(step)
        y = model.forward(ops.asarray(images[part]), train=True)
        value, dy = loss(ops, y, ops.asarray(labels[part]))
        model.backward(dy)
        optimizer.step(LEARNING_RATE)
        losses.append(float(ops.to_numpy(value)))
    return losses


def synthetic(count: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Noise about ten patterns, one for each class: something that a network can learn."""
    rng = np.random.default_rng(7)
    labels = rng.integers(10, size=count).astype("int32")
    patterns = rng.standard_normal((10, *shape), dtype="float32")
    noise = rng.standard_normal((count, *shape), dtype="float32")
    return patterns[labels] + 0.5 * noise, labels
