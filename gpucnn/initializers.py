"""Initial weights: drawn on the host from a seed, so every device starts from the same bits.

| kind | distribution | source |
|---|---|---|
| he_normal, he_uniform | variance 2/fan_in | He et al., "Delving deep into rectifiers", 2015 |
| glorot_normal, glorot_uniform | variance 2/(fan_in + fan_out) | Glorot & Bengio, 2010 |
| lecun_normal, lecun_uniform | variance 1/fan_in | LeCun et al., "Efficient BackProp", 1998 |
| zeros | variance 0 | |

Normals are not truncated (as torch.nn.init); a uniform of variance v covers ±√(3v).
"""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

from gpucnn.draws import generator
from gpucnn.errors import ConfigError
from gpucnn.ops.contract.arrays import FLOAT_DTYPES, choice
from gpucnn.ops.shapes import integer

Variance = Callable[[int, int], float]


def _he(fan_in: int, fan_out: int) -> float:
    return 2 / fan_in


def _glorot(fan_in: int, fan_out: int) -> float:
    return 2 / (fan_in + fan_out)


def _lecun(fan_in: int, fan_out: int) -> float:
    return 1 / fan_in


def _zero(fan_in: int, fan_out: int) -> float:
    return 0.0


INITIALIZERS: dict[str, tuple[str, Variance]] = {
    "he_normal": ("normal", _he),
    "he_uniform": ("uniform", _he),
    "glorot_normal": ("normal", _glorot),
    "glorot_uniform": ("uniform", _glorot),
    "lecun_normal": ("normal", _lecun),
    "lecun_uniform": ("uniform", _lecun),
    "zeros": ("normal", _zero),
}
"""Kind -> (distribution, variance as a function of fan_in and fan_out)."""


def check_initializer(kind: Any) -> str:
    """`kind` if it is one of INITIALIZERS; ConfigError otherwise."""
    if kind not in INITIALIZERS:
        raise ConfigError(f"init must be one of {', '.join(INITIALIZERS)}, got {kind!r}")
    return str(kind)


def initialize(
    kind: str,
    shape: Sequence[int],
    fan_in: int,
    fan_out: int,
    seed: int,
    dtype: str = "float32",
) -> Any:
    """Draw a NumPy array of `shape`, the same for every call with the same arguments.

    `fan_in` and `fan_out` count the inputs of one output and the outputs of one input. The draw
    is made in float64 and rounded, so float32 weights are those of float64, rounded. Raises
    ConfigError for an unknown kind, a fan below 1, a seed or dtype that is not allowed.
    """
    distribution, variance = INITIALIZERS[check_initializer(kind)]
    choice("dtype", dtype, FLOAT_DTYPES)
    deviation = sqrt(
        variance(integer("fan_in", fan_in, minimum=1), integer("fan_out", fan_out, minimum=1))
    )
    draw = generator(seed, "weight")
    if distribution == "normal":
        values = draw.normal(0.0, deviation, tuple(shape))
    else:
        bound = sqrt(3) * deviation
        values = draw.uniform(-bound, bound, tuple(shape))
    return values.astype(dtype)
