"""Time whole training steps on the cpu device beside PyTorch's, and their peak memory.

    python benchmarks/cpu_training_steps.py [--record] [--rounds 11]

A step is forward, loss, backward and update, on one batch that is in memory already. The same
config builds both networks. Needs PyTorch. A ratio above 1 means gpucnn is faster.
"""

import argparse
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cpu_convolutions import compare
from machine import record
from torch import nn

import gpucnn
from gpucnn.build.objects import build_loss, build_model, build_optimizer
from gpucnn.config import load_config
from gpucnn.layers import skip_input_gradient

CONFIGS = Path(__file__).parent.parent / "configs"
STEPS = (("mnist_lenet", 64), ("mnist_lenet", 512), ("cifar10_resnet20", 128))


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def torch_layer(spec: Any, shape: tuple[int, ...]) -> nn.Module:
    """The PyTorch module of a config's layer for inputs of `shape`."""
    o = spec.options
    match spec.kind:
        case "conv2d":
            return nn.Conv2d(
                shape[0], o["filters"], o["kernel_size"], o["stride"], o["padding"], bias=o["bias"]
            )
        case "batch_norm2d":
            return nn.BatchNorm2d(shape[0])
        case "relu":
            return nn.ReLU()
        case "max_pool2d":
            return nn.MaxPool2d(o["kernel_size"])
        case "global_avg_pool2d":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "flatten":
            return nn.Flatten()
        case "linear":
            return nn.Linear(int(np.prod(shape)), o["units"])
        case "residual":
            return Residual(torch_network(o["body"], shape), torch_network(o["shortcut"], shape))
    raise ValueError(f"this benchmark has no PyTorch module for {spec.kind}")


def torch_network(specs: list[Any], shape: tuple[int, ...]) -> nn.Sequential:
    layers = nn.Sequential()
    for spec in specs:
        layers.append(torch_layer(spec, shape))
        with torch.no_grad():
            shape = tuple(layers[-1](torch.zeros(2, *shape)).shape[1:])
    return layers


def steps(name: str, batch: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """gpucnn's and PyTorch's training step of a config."""
    config = load_config(CONFIGS / f"{name}.yaml")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *config.model.input), np.float32)
    labels = rng.integers(0, 10, batch).astype(np.int32)

    ops = gpucnn.get_ops("cpu")
    model, loss, optimizer = build_model(config, ops), build_loss(config), build_optimizer(config)
    skip_input_gradient(model)
    optimizer.bind(model.parameters(), ops)

    def ours() -> None:
        y = model.forward(x, train=True)
        dy = loss(ops, y, labels)[1]
        model.backward(dy)
        optimizer.step(1e-3)

    net = torch_network(config.model.layers, tuple(config.model.input))
    options = config.optimizer.options
    sgd = torch.optim.SGD(
        net.parameters(), 1e-3, options["momentum"], weight_decay=options["weight_decay"]
    )
    tx, tlabels = torch.from_numpy(x), torch.from_numpy(labels).long()
    cross_entropy = nn.CrossEntropyLoss()

    def theirs() -> None:
        sgd.zero_grad()
        cross_entropy(net(tx), tlabels).backward()
        sgd.step()

    return ours, theirs


def peak_bytes(step: Callable[[], object]) -> int:
    """Most that Python and NumPy held during a step, beyond parameters and the batch."""
    step()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    rows = []
    for name, batch in STEPS:
        ours, theirs = steps(name, batch)
        row = {"config": name, "batch": batch, **compare(ours, theirs, args.rounds)}
        row["peak_mib"] = peak_bytes(ours) / 2**20
        rows.append(row)
        print(
            f"{name:18} batch {batch:4} gpucnn {row['gpucnn_ms']:7.1f} ms  torch"
            f" {row['torch_ms']:7.1f} ms  ratio {row['ratio']:.2f}  peak"
            f" {row['peak_mib']:.0f} MiB",
            flush=True,
        )
    if args.record:
        print(record("training_steps", {"rows": rows}, None))


if __name__ == "__main__":
    main()
