"""What an update takes from its place in the training, formed on the host in float64.

An update's kernel reads these from its arguments or, where the same launch is to serve every step,
from an array of the device.
"""

from typing import Any

Rates = tuple[float, ...] | Any
"""The numbers, or a 1-d array of the device that holds them."""

Ema = tuple[Any, Rates] | None
"""The average that takes in an update's new values, and its ema_rates."""


def sgd_rates(lr: float) -> tuple[float]:
    """What a step of SGD or RMSprop takes."""
    return (lr,)


def adam_rates(lr: float, step: int, beta1: float, beta2: float) -> tuple[float, float, float]:
    """lr, lr corrected for the first moment's bias, and the correction of the second moment."""
    return lr, lr / (1 - beta1**step), 1 - beta2**step


def ema_rates(decay: float) -> tuple[float, float]:
    """The decay and its rest."""
    return decay, 1 - decay
