"""Linear layer, softmax, losses and activations, number by number."""

from math import exp, fsum, log, tanh

import numpy as np


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """y[n,o] = b[o] + Σ_i x[n,i]·w[o,i]."""
    y = np.zeros((x.shape[0], w.shape[0]))
    for n, o in np.ndindex(*y.shape):
        products = [float(x[n, i]) * float(w[o, i]) for i in range(x.shape[1])]
        y[n, o] = fsum(products) + (0.0 if b is None else float(b[o]))
    return y


def linear_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray):
    """dx, dw, db."""
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(w.shape[0])
    for n, o in np.ndindex(*dy.shape):
        d = float(dy[n, o])
        db[o] += d
        for i in range(x.shape[1]):
            dx[n, i] += d * float(w[o, i])
            dw[o, i] += d * float(x[n, i])
    return dx, dw, db


def softmax(row: list[float]) -> list[float]:
    """e^x/Σe^x, the maximum taken out."""
    top = max(row)
    powers = [exp(value - top) for value in row]
    total = fsum(powers)
    return [power / total for power in powers]


def softmax_rows(x: np.ndarray) -> np.ndarray:
    """The softmax over the last axis."""
    rows = x.astype(np.float64).reshape(-1, x.shape[-1]).tolist()
    return np.array([softmax(row) for row in rows]).reshape(x.shape)


def softmax_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Σ_j dy_j·∂y_j/∂x_i with the whole Jacobian y_j·([i=j] - y_i)."""
    dx = np.zeros(y.shape)
    for at in np.ndindex(*y.shape):
        head, i = at[:-1], at[-1]
        dx[at] = fsum(
            float(dy[(*head, j)]) * float(y[(*head, j)]) * ((i == j) - float(y[at]))
            for j in range(y.shape[-1])
        )
    return dx


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float = 0.0):
    """Each sample's loss -Σ t·log p and gradient p - t; t the smoothed target."""
    classes = logits.shape[1]
    losses, grads = np.zeros(len(logits)), np.zeros(logits.shape)
    for n, row in enumerate(logits.astype(np.float64).tolist()):
        top = max(row)
        log_total = log(fsum(exp(value - top) for value in row))
        target = [smoothing / classes + (1 - smoothing) * (c == labels[n]) for c in range(classes)]
        losses[n] = fsum(
            t * (log_total - (value - top)) for t, value in zip(target, row, strict=True)
        )
        grads[n] = [p - t for p, t in zip(softmax(row), target, strict=True)]
    return losses, grads


def squared_error(y: np.ndarray, target: np.ndarray):
    """Each sample's ½Σ(y - t)² and gradient y - t."""
    grads = y.astype(np.float64) - target.astype(np.float64)
    losses = np.array([0.5 * fsum((sample**2).ravel().tolist()) for sample in grads])
    return losses, grads


def sigmoid(x: float) -> float:
    """1/(1 + e^-x)."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def each(function, *arrays: np.ndarray) -> np.ndarray:
    """A function of Python floats, element by element."""
    flat = [a.astype(np.float64).ravel().tolist() for a in arrays]
    values = [function(*numbers) for numbers in zip(*flat, strict=True)]
    return np.array(values, dtype=np.float64).reshape(arrays[0].shape)


ACTIVATIONS = {
    "relu": lambda x: 0.0 if x <= 0 else x,
    "leaky_relu": lambda x: 0.01 * x if x <= 0 else x,
    "sigmoid": sigmoid,
    "tanh": tanh,
}

SLOPES = {
    "relu": lambda d, x: 0.0 if x <= 0 else d,
    "leaky_relu": lambda d, x: 0.01 * d if x <= 0 else d,
    "sigmoid": lambda d, y: d * y * (1 - y),
    "tanh": lambda d, y: d * (1 - y * y),
}
"""dx from dy and what backward takes: x for the (leaky) ReLU, y for the others."""
