"""Batch normalisation of channels (S2 names it). x (N, C, H, W), float64.

The gradient goes through variance and mean, one equation after the other, as in Ioffe & Szegedy,
"Batch Normalization" (2015), section 3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements

Floats = NDArray[np.float64]


class Statistics(NamedTuple):
    """A mean and a variance a channel (C,); the batch's variance is the biased one, over m."""

    mean: Floats
    variance: Floats


@implements("A24")
def batch_statistics(x: ArrayLike) -> Statistics:
    """Mean and biased variance of each channel over its m = N·H·W values; m = 1 is an error."""
    x = np.asarray(x, np.float64)
    if x.ndim != 4 or x.shape[0] * x.shape[2] * x.shape[3] < 2:
        raise ShapeError(
            f"x must be (N, C, H, W) with more than one value a channel, got shape {x.shape}:"
            " one value has no variance"
        )
    mean, variance = np.empty(x.shape[1]), np.empty(x.shape[1])
    for c in range(x.shape[1]):
        values = x[:, c].ravel()
        mean[c] = values.sum() / values.size
        variance[c] = ((values - mean[c]) ** 2).sum() / values.size
    return Statistics(mean, variance)


@implements("A24")
def running_statistics(
    running: Statistics, batch: Statistics, m: int, momentum: float = 0.1
) -> Statistics:
    """(1 - momentum)·running + momentum·batch, with the unbiased variance, over m - 1."""
    return Statistics(
        (1 - momentum) * running.mean + momentum * batch.mean,
        (1 - momentum) * running.variance + momentum * batch.variance * m / (m - 1),
    )


@implements("A24")
def batch_norm2d(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, statistics: Statistics, eps: float = 1e-5
) -> Floats:
    """y = γ x̂ + β, x̂ = (x - μ)/√(σ² + ε): in training of the batch, later of the running ones."""
    x, gamma, beta = (np.asarray(a, np.float64) for a in (x, gamma, beta))
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        hat = (x[:, c] - statistics.mean[c]) / np.sqrt(statistics.variance[c] + eps)
        y[:, c] = gamma[c] * hat + beta[c]
    return y


@implements("A24")
def batch_norm2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    statistics: Statistics,
    eps: float = 1e-5,
    *,
    train: bool = True,
) -> tuple[Floats, Floats, Floats]:
    """dx, dγ, dβ. In training μ and σ² are functions of x; with `train` False, constants.

    dβ = Σ δ, dγ = Σ δ x̂, dx̂ = δγ,
    dσ² = Σ dx̂ (x - μ)·(-½)(σ² + ε)^(-3/2),
    dμ = -Σ dx̂/√(σ² + ε) + dσ²·Σ -2(x - μ)/m,
    dx = dx̂/√(σ² + ε) + dσ²·2(x - μ)/m + dμ/m.
    """
    dy, x, gamma = (np.asarray(a, np.float64) for a in (dy, x, gamma))
    if dy.shape != x.shape:
        raise ShapeError(f"dy must have x's shape {x.shape}, got {dy.shape}")
    dx, dgamma, dbeta = np.empty(x.shape), np.empty(x.shape[1]), np.empty(x.shape[1])
    for c in range(x.shape[1]):
        delta, centred = dy[:, c], x[:, c] - statistics.mean[c]
        m, power = delta.size, statistics.variance[c] + eps
        dbeta[c] = delta.sum()
        dgamma[c] = (delta * centred / np.sqrt(power)).sum()
        dhat = delta * gamma[c]
        dx[:, c] = dhat / np.sqrt(power)
        if train:
            dvariance = (dhat * centred).sum() * -0.5 * power**-1.5
            dmean = -(dhat / np.sqrt(power)).sum() + dvariance * (-2 * centred).sum() / m
            dx[:, c] += dvariance * 2 * centred / m + dmean / m
    return dx, dgamma, dbeta
