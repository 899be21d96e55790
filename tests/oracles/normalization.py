"""Batch normalisation channel by channel, the gradient by the chain rule of the paper.

Ioffe & Szegedy, "Batch Normalization", 2015, §3: the gradients of variance and mean first, then of
x. `saved` statistics as constants for evaluation.
"""

from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np


@dataclass
class Channel:
    """One channel's values and statistics."""

    values: list[float]
    mean: float
    var: float
    eps: float

    @property
    def scale(self) -> float:
        return 1 / sqrt(self.var + self.eps)

    @property
    def normalised(self) -> list[float]:
        return [(value - self.mean) * self.scale for value in self.values]


def channels(x: np.ndarray, eps: float) -> list[Channel]:
    """The channels with their batch statistics: mean and biased variance."""
    result = []
    for c in range(x.shape[1]):
        values = x[:, c].astype(np.float64).ravel().tolist()
        mean = fsum(values) / len(values)
        var = fsum((value - mean) ** 2 for value in values) / len(values)
        result.append(Channel(values, mean, var, eps))
    return result


def running_channels(x: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float) -> list[Channel]:
    """The channels with given statistics, as in evaluation."""
    return [
        Channel(x[:, c].astype(np.float64).ravel().tolist(), float(mean[c]), float(var[c]), eps)
        for c in range(x.shape[1])
    ]


def forward(shape: tuple[int, ...], parts: list[Channel], gamma: np.ndarray, beta: np.ndarray):
    """gamma·x̂ + beta."""
    y = np.zeros(shape)
    for c, part in enumerate(parts):
        flat = [float(gamma[c]) * value + float(beta[c]) for value in part.normalised]
        y[:, c] = np.reshape(flat, y[:, c].shape)
    return y


def backward(dy: np.ndarray, parts: list[Channel], gamma: np.ndarray, *, train: bool):
    """dx, dgamma, dbeta."""
    dx, dgamma, dbeta = np.zeros(dy.shape), np.zeros(dy.shape[1]), np.zeros(dy.shape[1])
    for c, part in enumerate(parts):
        ds = dy[:, c].astype(np.float64).ravel().tolist()
        dgamma[c] = fsum(d * value for d, value in zip(ds, part.normalised, strict=True))
        dbeta[c] = fsum(ds)
        dhat = [d * float(gamma[c]) for d in ds]
        grad = [d * part.scale for d in dhat]
        if train:
            centred = [value - part.mean for value in part.values]
            size = len(ds)
            dvar = fsum(d * v for d, v in zip(dhat, centred, strict=True)) * -0.5 * part.scale**3
            dmean = -fsum(dhat) * part.scale - 2 * dvar * fsum(centred) / size
            grad = [
                g + dvar * 2 * v / size + dmean / size for g, v in zip(grad, centred, strict=True)
            ]
        dx[:, c] = np.reshape(grad, dx[:, c].shape)
    return dx, dgamma, dbeta


def running(old: float, batch: float, momentum: float) -> float:
    """The running statistic after a batch."""
    return (1 - momentum) * old + momentum * batch
