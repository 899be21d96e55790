"""A config's network, loss and optimizer as PyTorch's own, to measure beside."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from gpucnn.config import Config
from gpucnn.layers import Layer
from gpucnn.ops.base import Ops


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def torch_layer(spec: Any, shape: tuple[int, ...]) -> nn.Module:
    """The PyTorch module of a config's layer for inputs of `shape`, images left out."""
    o = spec.options
    match spec.kind:
        case "conv2d":
            places = (o["kernel_size"], o["stride"], o["padding"], o["dilation"], o["groups"])
            return nn.Conv2d(shape[0], o["filters"], *places, bias=o["bias"])
        case "batch_norm2d":
            return nn.BatchNorm2d(shape[0], eps=o["eps"], momentum=o["momentum"])
        case "relu":
            return nn.ReLU()
        case "max_pool2d":
            return nn.MaxPool2d(o["kernel_size"], o["stride"], o["padding"])
        case "global_avg_pool2d":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "flatten":
            return nn.Flatten()
        case "dropout":
            return nn.Dropout(o["rate"])
        case "linear":
            return nn.Linear(prod(shape), o["units"], bias=o["bias"])
        case "residual":
            return Residual(torch_network(o["body"], shape), torch_network(o["shortcut"], shape))
    raise ValueError(f"the benchmarks have no PyTorch module for {spec.kind}")


def torch_network(specs: Sequence[Any], shape: tuple[int, ...]) -> nn.Sequential:
    """The layers of `specs` for inputs of `shape`, with weights as PyTorch draws them."""
    layers = nn.Sequential()
    for spec in specs:
        layers.append(torch_layer(spec, shape).eval())
        with torch.no_grad():
            shape = tuple(layers[-1](torch.zeros(2, *shape)).shape[1:])
    return layers.train()


def take_weights(network: nn.Module, model: Layer, ops: Ops) -> None:
    """Begin with the weights of `model`: what follows then differs by its arithmetic alone."""
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), model.parameters(), strict=True):
            mine.copy_(torch.from_numpy(ops.to_numpy(theirs.value).copy()).reshape(mine.shape))


def torch_loss(config: Config) -> nn.Module:
    """The loss of a config; ValueError where it has no counterpart here."""
    if config.loss.kind != "softmax_cross_entropy":
        raise ValueError(f"the benchmarks have no PyTorch loss for {config.loss.kind}")
    return nn.CrossEntropyLoss(**config.loss.options)


def torch_optimizer(
    config: Config, parameters: Iterable[nn.Parameter], *, on_gpu: bool, graph: bool = False
) -> torch.optim.Optimizer:
    """The optimizer of a config: PyTorch's fastest, its rate in memory of the GPU, if on one.

    `graph` is for steps that are captured.
    """
    kind, o = config.optimizer.kind, dict(config.optimizer.options)
    lr: Any = o.pop("lr")
    options: dict[str, Any] = {"fused": True} if on_gpu else {}
    if on_gpu:
        lr = torch.tensor(lr, device="cuda")
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr, **o, **options)
    if kind not in ("adam", "adamw"):
        raise ValueError(f"the benchmarks have no PyTorch optimizer for {kind}")
    options["capturable"] = graph and on_gpu
    betas = (o.pop("beta1"), o.pop("beta2"))
    of = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
    return of(parameters, lr, betas=betas, **o, **options)
