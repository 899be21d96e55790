"""Losses, with the δ that they give the layer below: S0 §6, S2, S3 §1.2. Float64.

The division by the number of samples happens here and nowhere else (C4): `reduction` "sum" is
S0's, "mean" divides by N.
"""

from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ConfigError, DataError, ShapeError
from gpucnn.implements import implements
from gpucnn.reference.activations import softmax, softmax_jacobian

Floats = NDArray[np.float64]

REDUCTIONS = ("mean", "sum")


@implements("A19", "C4", "E21")
def cross_entropy(
    logits: ArrayLike, labels: ArrayLike, reduction: str = "mean"
) -> tuple[float, Floats]:
    """-log p[label] over the samples, p = softmax(logits), and δ = p - Y (S2: δ⁴ = a⁴ - Y).

    logits (N, classes), labels (N,). -log p is log Σ e^(z - max) - (z - max): finite where p
    itself is too small for a float.
    """
    logits = np.asarray(logits, np.float64)
    labels = _labels(labels, logits.shape)
    losses, delta = 0.0, softmax(logits)
    for n, label in enumerate(labels):
        shifted = logits[n] - logits[n].max()
        losses += log(np.exp(shifted).sum()) - shifted[label]
        delta[n, label] -= 1
    share = _share(reduction, len(logits))
    return losses * share, delta * share


@implements("A19", "S2:BP1", "E14")
def cross_entropy_delta_by_jacobian(probabilities: ArrayLike, label: int) -> Floats:
    """δ = Jᵀ∇_a C of one sample, with ∇_a C = -Y/a and softmax's full Jacobian J.

    This is BP1 done right for softmax; the terms cancel to a - Y.
    """
    a = np.asarray(probabilities, np.float64)
    slope = np.zeros(a.shape)
    slope[label] = -1 / a[label]
    delta: Floats = softmax_jacobian(a).T @ slope
    return delta


@implements("A20", "C4", "E21")
def mean_squared_error(
    y: ArrayLike, target: ArrayLike, reduction: str = "mean"
) -> tuple[float, Floats]:
    """½ Σ_j (y_j - t_j)² over the samples, and δ = y - t; the ½ is there for that. y (N, ...)."""
    y, target = np.asarray(y, np.float64), np.asarray(target, np.float64)
    if y.ndim == 0 or y.shape != target.shape:
        raise ShapeError(f"y and target must be alike (N, ...), got {y.shape} and {target.shape}")
    share = _share(reduction, len(y))
    loss = sum(0.5 * float(((sample - t) ** 2).sum()) for sample, t in zip(y, target, strict=True))
    return loss * share, (y - target) * share


@implements("C4")
def _share(reduction: str, samples: int) -> float:
    """What one sample counts for; an empty batch has a loss of 0 and no δ."""
    if reduction not in REDUCTIONS:
        raise ConfigError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")
    return 1 / samples if reduction == "mean" and samples else 1.0


def _labels(labels: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    if len(shape) != 2 or labels.shape != shape[:1]:
        raise ShapeError(
            f"logits must be (N, classes) and labels (N,), got {shape} and {labels.shape}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < shape[1]):
        raise DataError(f"labels must be from 0 to {shape[1] - 1}, got {labels.tolist()}")
    return labels.astype(np.int64)
