"""Networks large enough that their memory is in their arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
)
from gpucnn.ops.base import Ops
from tests.training.helpers import CLASSES, ListBatches


def lenet() -> list[Layer]:
    return [
        Conv2d(filters=8, kernel_size=5, padding=2),
        Relu(),
        MaxPool2d(kernel_size=2),
        Conv2d(filters=16, kernel_size=5),
        Relu(),
        MaxPool2d(kernel_size=2),
        Flatten(),
        Linear(units=40),
        Sigmoid(),
        Linear(units=CLASSES),
    ]


def residual() -> list[Layer]:
    """Batch norm, a strided shortcut, dropout."""

    def block(filters: int, stride: int, shortcut: list[Layer]) -> Layer:
        body = [
            Conv2d(filters=filters, kernel_size=3, stride=stride, padding="same", bias=False),
            BatchNorm2d(),
            Relu(),
            Conv2d(filters=filters, kernel_size=3, padding=1, bias=False),
            BatchNorm2d(),
        ]
        return Residual(body=body, shortcut=shortcut)

    return [
        Conv2d(filters=8, kernel_size=3, padding=1, bias=False),
        BatchNorm2d(),
        Relu(),
        block(8, 1, []),
        Relu(),
        block(16, 2, [Conv2d(filters=16, kernel_size=1, stride=2, padding="same", bias=False)]),
        Relu(),
        Dropout(rate=0.2),
        GlobalAvgPool2d(),
        Linear(units=CLASSES),
    ]


def branches() -> list[Layer]:
    """Two branches side by side, and a wide linear layer whose parameters are most of it."""
    return [
        Concat(
            branches=[
                [Conv2d(filters=6, kernel_size=1), Relu()],
                [Conv2d(filters=6, kernel_size=5, padding=2), Relu()],
            ]
        ),
        MaxPool2d(kernel_size=2),
        Flatten(),
        Linear(units=64),
        Relu(),
        Linear(units=CLASSES),
    ]


NETWORKS: dict[str, Callable[[], list[Layer]]] = {
    "lenet": lenet,
    "residual": residual,
    "branches": branches,
}


def network(name: str, ops: Ops, size: int = 28) -> Sequential:
    """The network, built for grey images of `size` x `size`."""
    model = Sequential(NETWORKS[name]())
    model.build((1, size, size), ops, 3)
    return model


def images(count: int, batch_size: int, size: int = 28) -> ListBatches:
    """Noise with labels: steps are the same for all data."""
    rng = np.random.default_rng(5)
    x: Any = rng.standard_normal((count, 1, size, size), np.float32)
    return ListBatches(x, rng.integers(0, CLASSES, count).astype(np.int32), batch_size)
