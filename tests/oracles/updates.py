"""Optimizer steps of one number, with the sum of absolute terms that bounds its rounding."""

from math import sqrt


def sgd(value, grad, velocity, *, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """(value, velocity) after a step; velocity is None without momentum."""
    g = grad + weight_decay * value
    if velocity is None:
        return value - lr * g, None
    velocity = momentum * velocity + g
    step = g + momentum * velocity if nesterov else velocity
    return value - lr * step, velocity


def adam(
    value, grad, first, second, *, lr, step, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
    decoupled=False,
):  # fmt: skip
    """(value, first, second) after step `step`, counted from 1 (Kingma & Ba, algorithm 1)."""
    if decoupled:
        value -= lr * weight_decay * value
    else:
        grad += weight_decay * value
    first = beta1 * first + (1 - beta1) * grad
    second = beta2 * second + (1 - beta2) * grad * grad
    mean, square = first / (1 - beta1**step), second / (1 - beta2**step)
    return value - lr * mean / (sqrt(square) + eps), first, second


def rmsprop(
    value, grad, second, velocity, *, lr, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0
):
    """(value, second, velocity) after a step; velocity is None without momentum."""
    grad += weight_decay * value
    second = alpha * second + (1 - alpha) * grad * grad
    step = grad / (sqrt(second) + eps)
    if velocity is None:
        return value - lr * step, second, None
    velocity = momentum * velocity + step
    return value - lr * velocity, second, velocity
