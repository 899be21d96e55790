"""Activations as layers of their own (C5): S3 §5, S0 §6, S2. Any shape, float64."""

from collections.abc import Callable
from math import exp
from math import tanh as hyperbolic_tangent

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements

Floats = NDArray[np.float64]


@implements("A17", "S3:5.1")
def relu(x: ArrayLike) -> Floats:
    """x where x > 0, else 0 (5.1); -0.0 gives 0.0. NaN stays NaN: no comparison holds for it."""
    return _each(lambda value: 0.0 if value <= 0 else value, x)


@implements("A17", "S3:5.2", "S3:5.3", "E29")
def relu_backward(dy: ArrayLike, x: ArrayLike) -> Floats:
    """δ where the input is above 0, else 0 (5.3): ReLU'(0) = 0 as in (5.2).

    S3's closing text says that the derivative is 0 "only if the feature is below 0"; it is at 0
    as well. NaN in x lets δ through.
    """
    slope = _each(lambda value: 0.0 if value <= 0 else 1.0, x)
    dx: Floats = _like("dy", dy, slope) * slope
    return dx


@implements("A18")
def sigmoid(x: ArrayLike) -> Floats:
    """σ(x) = 1/(1 + e^-x) (S3 §5), with e^-|x| only, which never overflows."""
    return _each(lambda v: 1 / (1 + exp(-v)) if v >= 0 else exp(v) / (1 + exp(v)), x)


@implements("A18")
def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Floats:
    """δ·σ'(x), σ' = y(1 - y): 1/4 at 0, where it is largest, and nearly 0 far out (S3 §5)."""
    y = np.asarray(y, np.float64)
    dx: Floats = _like("dy", dy, y) * y * (1 - y)
    return dx


def tanh(x: ArrayLike) -> Floats:
    """y = tanh(x)."""
    return _each(hyperbolic_tangent, x)


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Floats:
    """δ·(1 - y²)."""
    y = np.asarray(y, np.float64)
    dx: Floats = _like("dy", dy, y) * (1 - y * y)
    return dx


@implements("A19", "S0:6")
def softmax(x: ArrayLike) -> Floats:
    """e^x_j / Σ_k e^x_k along the last axis, the maximum taken off first: no overflow."""
    x = np.asarray(x, np.float64)
    y = np.empty(x.shape)
    for row in np.ndindex(x.shape[:-1]):
        powers = np.exp(x[row] - x[row].max())
        y[row] = powers / powers.sum()
    return y


@implements("E14")
def softmax_jacobian(y: ArrayLike) -> Floats:
    """∂y_i/∂x_j = y_i([i = j] - y_j) of one vector y = softmax(x): not a diagonal matrix.

    So BP1's product δ = ∇_a C (.) σ'(z), which is for a_i of z_i alone, does not hold.
    """
    y = np.asarray(y, np.float64)
    if y.ndim != 1:
        raise ShapeError(f"y must be one vector, got shape {y.shape}")
    jacobian = np.empty((len(y), len(y)))
    for i, j in np.ndindex(*jacobian.shape):
        jacobian[i, j] = y[i] * ((i == j) - y[j])
    return jacobian


@implements("E14")
def softmax_backward(dy: ArrayLike, y: ArrayLike) -> Floats:
    """Jᵀδ of every vector along the last axis."""
    y = np.asarray(y, np.float64)
    dy = _like("dy", dy, y)
    dx = np.empty(y.shape)
    for row in np.ndindex(y.shape[:-1]):
        dx[row] = softmax_jacobian(y[row]).T @ dy[row]
    return dx


def _each(function: Callable[[float], float], x: ArrayLike) -> Floats:
    """`function` of every element."""
    x = np.asarray(x, np.float64)
    y = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        y[place] = function(float(x[place]))
    return y


def _like(name: str, a: ArrayLike, other: Floats) -> Floats:
    a = np.asarray(a, np.float64)
    if a.shape != other.shape:
        raise ShapeError(f"{name} must have shape {other.shape}, got {a.shape}")
    return a
