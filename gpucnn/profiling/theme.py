"""The colours of the pictures, on paper and on a dark screen."""

from dataclasses import dataclass

PHASES = {
    "forward": "#3b78b5",
    "backward": "#e08214",
    "loss": "#8c6bb1",
    "update": "#3a9a5b",
    "data": "#c2528b",
}

FAMILIES = {
    "convolution": ("#3b78b5", ("conv",)),
    "linear": ("#8c6bb1", ("linear",)),
    "normalisation": ("#c2528b", ("batch_norm",)),
    "pooling": ("#b8860b", ("max_pool", "avg_pool", "lp_pool")),
    "activation": ("#e08214", ("relu", "leaky_relu", "sigmoid", "tanh", "softmax_f", "softmax_b")),
    "update": ("#3a9a5b", ("sgd_", "adam", "rmsprop", "ema_", "clip_", "all_finite", "set_grad")),
    "other": ("#808890", ("",)),
}
"""What kind of work a method does -> its colour and how the names of such methods begin."""


def family(method: str) -> str:
    """The first family whose names begin as the method's does."""
    return next(name for name, (_, starts) in FAMILIES.items() if method.startswith(starts))


@dataclass(frozen=True)
class Theme:
    """Everything but the data's colours, which do for both."""

    background: str
    text: str
    faint: str
    """Axes and notes."""
    grid: str
    gap: str
    warning: str


LIGHT = Theme("#ffffff", "#1c2126", "#5b6670", "#dde2e6", "#c5ccd2", "#b3261e")
DARK = Theme("#171b1f", "#e4e8eb", "#9aa5ae", "#2d343a", "#4a545d", "#ff8a80")
