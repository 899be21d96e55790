"""The walk through channels and filters: what is summed forward, and what backward."""

import numpy as np

from gpucnn.errors import ConfigError
from gpucnn.explain.compare import agrees
from gpucnn.explain.numbers import draw
from gpucnn.explain.settings import Settings
from gpucnn.explain.sizes import geometry
from gpucnn.explain.steps import Line, Matrix, Step, Walk, factor, matrix, number
from gpucnn.explain.windows import put_in
from gpucnn.reference.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    rot180,
    zero_pad,
)

MOST_CHANNELS, MOST_SIDE = 3, 6
OPTIONS = ("size", "kernel")


def walk(settings: Settings) -> Walk:
    """Two channels and two filters, or as many as are asked for; the numbers are drawn."""
    channels, filters = (
        _count(name, 2 if value is None else value)
        for name, value in (("channels", settings.channels), ("filters", settings.filters))
    )
    size, kernel = settings.size or (3, 3), settings.kernel or (2, 2)
    found = geometry(size, kernel, (1, 1), ((0, 0), (0, 0)), options=OPTIONS, most=MOST_SIDE)
    seed = settings.seed or 0
    x = draw(seed, "x", (1, channels, *size), 0, 9)
    w = draw(seed, "w", (filters, channels, *kernel), -2, 2)
    b = draw(seed, "b", (filters,), -3, 3)
    dy = draw(seed, "dy", (1, filters, *found.pair("outputs")), -3, 3)
    counts = f"{_counted(channels, 'channel')}, {_counted(filters, 'filter')}"
    steps = (_forward(x, w, b), _backward_input(x, w, dy), *_backward_parameters(x, w, dy))
    return Walk("channels", f"A convolution over channels: {counts}", steps)


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Step:
    y = conv2d_forward(x, w, b)
    lines = []
    for k in range(len(w)):
        products = [
            (matrix(f"x[{c}]", x[0, c], "input"), matrix(f"w[{k},{c}]", w[k, c], "kernel"))
            for c in range(x.shape[1])
        ]
        result = matrix(f"y[{k}]", y[0, k], "result")
        lines.append((*_summed(products), f"+ {factor(b[k])} =", result))
    return Step(
        "Forward: a filter has a kernel for every channel, and one bias",
        "The correlations of all channels are added up, then the bias: one map for each filter.",
        "S3 (2.4), S2",
        tuple(lines),
        agrees=agrees(y, "conv2d_forward", x, w, b),
    )


def _backward_input(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Step:
    dx = conv2d_backward_input(dy, w, x.shape)
    border = [side - 1 for side in w.shape[2:]]
    kept = put_in(zero_pad(np.ones(dy.shape[2:]), border))
    lines = []
    for c in range(x.shape[1]):
        products = [
            (
                matrix(f"δ[{k}]", zero_pad(dy[0, k], border), "delta", inserted=kept),
                matrix(f"rot w[{k},{c}]", rot180(w[k, c]), "kernel"),
            )
            for k in range(len(w))
        ]
        lines.append((*_summed(products), "=", matrix(f"dx[{c}]", dx[0, c], "result")))
    return Step(
        "Backward to the input: the channels change places",
        "Channel c took part in every filter's map through w[k,c]. So its gradient adds up over the"
        " filters k, where forward added up over the channels c.",
        "S2 BP2, S4 (15)",
        tuple(lines),
        agrees=agrees(dx, "conv2d_backward_input", dy, w, x.shape),
    )


def _backward_parameters(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> tuple[Step, ...]:
    dw, db = conv2d_backward_weight(dy, x, w.shape), conv2d_backward_bias(dy)
    lines: list[Line] = [
        (
            matrix(f"x[{c}]", x[0, c], "input"),
            "⋆",
            matrix(f"δ[{k}]", dy[0, k], "delta"),
            "=",
            matrix(f"dw[{k},{c}]", dw[k, c], "result"),
        )
        for k, c in np.ndindex(*w.shape[:2])
    ]
    return (
        Step(
            "Backward to the kernels: each from its own channel and its own map",
            "Nothing is added up over channels or filters.",
            "S2 BP4, S4 (18)",
            tuple(lines),
            agrees=agrees(dw, "conv2d_backward_weight", dy, x, w.shape),
        ),
        Step(
            "Backward to the biases: each the sum of its own map",
            source="S2 BP3, S4 (19)",
            sums=tuple(
                f"db[{k}] = {' + '.join(map(factor, dy[0, k].ravel()))} = {number(db[k])}"
                for k in range(len(w))
            ),
            agrees=agrees(db, "conv2d_backward_bias", dy),
        ),
    )


def _summed(products: list[tuple[Matrix, Matrix]]) -> Line:
    """a ⋆ b + c ⋆ d + …"""
    line: Line = ()
    for left, right in products:
        line = (*line, *(("+",) if line else ()), left, "⋆", right)
    return line


def _count(name: str, value: int) -> int:
    if not 1 <= value <= MOST_CHANNELS:
        raise ConfigError(f"--{name} must be from 1 to {MOST_CHANNELS}, got {value}")
    return value


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
