"""What can be explained."""

from collections.abc import Callable
from dataclasses import dataclass

from gpucnn.errors import ConfigError
from gpucnn.explain import (
    channels,
    convolution,
    im2col,
    max_pool,
    mean_pools,
    receptive_field,
    softmax,
)
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Walk

WINDOWS = ("size", "kernel", "stride", "padding", "rounding", "seed")
CONVOLUTION = (*WINDOWS, "dilation")
MATRICES = WINDOWS
POWERS = ("size", "kernel", "stride", "rounding", "power", "seed")


@dataclass(frozen=True)
class Case:
    """A subject: what it shows, the options it takes, and how its walk is made."""

    name: str
    shows: str
    options: tuple[str, ...]
    walk: Callable[[Settings], Walk]


CASES = {
    case.name: case
    for case in (
        Case("conv", "forward and every gradient of a convolution", CONVOLUTION, convolution.walk),
        Case("conv-forward", "the kernel on every window", CONVOLUTION, convolution.forward),
        Case(
            "conv-backward-input",
            "δ dilated, padded, and the turned kernel on it",
            CONVOLUTION,
            convolution.backward_input,
        ),
        Case(
            "conv-backward-weight",
            "δ as a kernel on the input; the bias",
            CONVOLUTION,
            convolution.backward_weight,
        ),
        Case(
            "channels",
            "several channels and filters: what is summed over what",
            ("size", "kernel", "channels", "filters", "seed"),
            channels.walk,
        ),
        Case("im2col", "windows as columns in both orders, φ and M", MATRICES, im2col.walk),
        Case("toeplitz", "the convolution matrix and its transpose", MATRICES, im2col.toeplitz),
        Case(
            "pool",
            "a maximum pool: argmax, and where the gradient lands",
            (*WINDOWS, "tie_break"),
            max_pool.maximum,
        ),
        Case(
            "pool-overlap",
            "the same with overlapping windows: gradients add up",
            (*WINDOWS, "tie_break"),
            max_pool.overlapping,
        ),
        Case("avg-pool", "an average pool: δ spread evenly", WINDOWS, mean_pools.average),
        Case("lp-pool", "an L2 pool, or another power", POWERS, mean_pools.power),
        Case(
            "softmax",
            "softmax, cross-entropy, δ by the Jacobian and as p - Y",
            ("classes", "label", "seed"),
            softmax.walk,
        ),
        Case(
            "receptive-field",
            "what one neuron sees of the input",
            ("layers",),
            receptive_field.walk,
        ),
    )
}


def explain(name: str, settings: Settings) -> Walk:
    """The walk of a case; ConfigError for a name or an option that there is not."""
    if name not in CASES:
        raise ConfigError(f"there is no case {name!r}: gpucnn explain takes {', '.join(CASES)}")
    case = CASES[name]
    wrong = [option for option in settings.given() if option not in case.options]
    if wrong:
        raise ConfigError(
            f"explain {name} does not take --{wrong[0].replace('_', '-')}: it takes"
            f" {', '.join('--' + option.replace('_', '-') for option in case.options)}"
        )
    return case.walk(settings)
