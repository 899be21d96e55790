"""The walk through softmax and cross-entropy, by the Jacobian and by the short way."""

import numpy as np

from gpucnn.errors import ConfigError
from gpucnn.explain.compare import agrees
from gpucnn.explain.numbers import draw
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Step, Walk, matrix, number
from gpucnn.reference.activations import softmax, softmax_jacobian
from gpucnn.reference.losses import cross_entropy, cross_entropy_delta_by_jacobian

LOGITS = [1, 2, 3]
MOST_CLASSES = 6


def walk(settings: Settings) -> Walk:
    """z = [1, 2, 3] of class 2, or drawn logits."""
    z, label = _logits(settings)
    p = softmax(z)
    jacobian, labels = softmax_jacobian(p), np.array([label], np.int32)
    loss, delta = cross_entropy(z[None], labels)
    slope = np.where(np.arange(len(z)) == label, -1 / p, 0)
    by_jacobian = cross_entropy_delta_by_jacobian(p, label)
    if not np.allclose(by_jacobian, delta[0], rtol=1e-13, atol=1e-13):
        raise ArithmeticError(f"the Jacobian gives {by_jacobian}, p - Y is {delta[0]}")
    one_hot = (np.arange(len(z)) == label).astype(np.float64)
    powers = np.exp(z - z.max())
    shifted, total = z - z.max(), powers.sum()
    steps = (
        Step(
            "Forward: probabilities",
            "The largest z is taken off first: the result is the same, and nothing overflows.",
            "S0 §6",
            (
                (matrix("z", z, "input"), "→", matrix("z - max", shifted)),
                (
                    matrix("e^(z - max)", powers),
                    "→",
                    matrix("p", p, "result"),
                ),
            ),
            sums=(f"the sum of e^(z - max) is {number(total)}; p is each of them divided by it",),
            agrees=agrees(p[None], "softmax_forward", z[None]),
        ),
        Step(
            f"The loss of class {label}: minus the logarithm of its probability",
            sums=(f"L = -log p[{label}] = -log {number(p[label])} = {number(loss)}",),
            source="S2, S3 §1.2",
            agrees=agrees(loss, "softmax_cross_entropy", z[None], labels, part=0),
        ),
        Step(
            "Backward, the long way: every p depends on every z",
            "J[i,j] = ∂p[i]/∂z[j] = p[i]·([i = j] - p[j]) is a full matrix, so BP1's product with"
            " σ'(z), one cell at a time, does not hold here.",
            "S2 BP1",
            (
                (
                    matrix("J", jacobian),
                    "∂L/∂p",
                    "=",
                    matrix("-Y/p", slope, "delta"),
                ),
                (
                    "Jᵀ",
                    "·",
                    "∂L/∂p",
                    "=",
                    matrix("δ", by_jacobian, "result"),
                ),
            ),
        ),
        Step(
            "Backward, the short way: δ = p - Y",
            "Almost everything cancels. The numbers of δ add up to 0.",
            "S0 §6, S2",
            (
                (
                    matrix("p", p, "input"),
                    "-",
                    matrix("Y", one_hot),
                    "=",
                    matrix("δ", delta[0], "result"),
                ),
            ),
            agrees=agrees(delta, "softmax_cross_entropy", z[None], labels, part=1),
        ),
    )
    return Walk("softmax", f"Softmax and cross-entropy: {len(z)} classes, label {label}", steps)


def _logits(settings: Settings) -> tuple[np.ndarray, int]:
    classes = len(LOGITS) if settings.classes is None else settings.classes
    if not 2 <= classes <= MOST_CLASSES:
        raise ConfigError(f"--classes must be from 2 to {MOST_CLASSES}, got {classes}")
    drawn = settings.classes is not None or settings.seed is not None
    z = draw(settings.seed or 0, "z", (classes,), -3, 3) if drawn else np.array(LOGITS, np.float64)
    label = classes - 1 if settings.label is None else settings.label
    if not 0 <= label < classes:
        raise ConfigError(f"--label must be from 0 to {classes - 1}, got {label}")
    return z, label
