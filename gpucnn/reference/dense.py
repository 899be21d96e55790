"""Flatten and the fully connected layer: S0 §1 and §6, S2 BP1-BP4, S3 §3.

x (N, in), w (out, in), b (out,), y (N, out), float64; the sum over the batch is written out.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements

Floats = NDArray[np.float64]


@implements("A14", "C6")
def flatten(x: ArrayLike) -> Floats:
    """(N, C, H, W) to (N, C·H·W): channel, then row, then column (S2): index c·H·W + h·W + w."""
    x = np.asarray(x, np.float64)
    if x.ndim != 4:
        raise ShapeError(f"x must be (N, C, H, W), got shape {x.shape}")
    n, channels, high, wide = x.shape
    y = np.empty((n, channels * high * wide))
    for c, h, w in np.ndindex(channels, high, wide):
        y[:, c * high * wide + h * wide + w] = x[:, c, h, w]
    return y


@implements("A14")
def unflatten(dy: ArrayLike, x_shape: Sequence[int]) -> Floats:
    """Flatten's backward: (N, C·H·W) to (N, C, H, W); δ changes its shape and nothing else (S2)."""
    dy = np.asarray(dy, np.float64)
    n, channels, high, wide = x_shape
    if dy.shape != (n, channels * high * wide):
        raise ShapeError(f"dy must be {(n, channels * high * wide)} for {x_shape}, got {dy.shape}")
    dx = np.empty(tuple(x_shape))
    for c, h, w in np.ndindex(channels, high, wide):
        dx[:, c, h, w] = dy[:, c * high * wide + h * wide + w]
    return dx


@implements("S4:5", "S0:6")
def linear(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Floats:
    """z_j = Σ_k w_jk a_k + b_j for each sample (S4 5)."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ShapeError(f"x must be (N, in) and w (out, in), got shapes {x.shape} and {w.shape}")
    bias = np.zeros(len(w)) if b is None else np.asarray(b, np.float64)
    if bias.shape != (len(w),):
        raise ShapeError(f"b must have shape {(len(w),)}, one a row of w, got {bias.shape}")
    z = np.empty((len(x), len(w)))
    for n, a in enumerate(x):
        z[n] = w @ a + bias
    return z


@implements("A16", "S0:1", "S2:BP2", "S2:BP3", "S2:BP4")
def linear_backward(dy: ArrayLike, x: ArrayLike, w: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """∂C/∂a = Wᵀδ (BP2), dW = Σ_n δ aᵀ (BP4), db = Σ_n δ (BP3): dx, dw, db.

    BP2's (.) σ'(z) belongs to the activation below, a layer of its own (C5).
    """
    dy, x, w = (np.asarray(a, np.float64) for a in (dy, x, w))
    if dy.shape != (len(x), len(w)):
        raise ShapeError(f"dy must have y's shape {(len(x), len(w))}, got {dy.shape}")
    dx, dw, db = np.empty(x.shape), np.zeros(w.shape), np.zeros(len(w))
    for n, (delta, a) in enumerate(zip(dy, x, strict=True)):
        dx[n] = w.T @ delta
        dw += np.outer(delta, a)
        db += delta
    return dx, dw, db


@implements("A15", "S3:3")
def linear_as_convolution(w: ArrayLike, input_shape: Sequence[int]) -> Floats:
    """The kernels (out, C, H, W) that make w's layer a convolution of maps (C, H, W) (S3 §3).

    linear(flatten(x), w) = conv2d_forward(x, kernels) with an output of one place. Row j of w,
    cut up in flatten's order, is kernel j.
    """
    w = np.asarray(w, np.float64)
    if w.ndim != 2 or w.shape[1] != prod(input_shape):
        raise ShapeError(f"w must be (out, {prod(input_shape)}) for {input_shape}, got {w.shape}")
    return unflatten(w, (len(w), *input_shape))
