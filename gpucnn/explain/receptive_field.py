"""The walk through the receptive field: what one neuron sees of the input."""

from collections.abc import Sequence

import numpy as np

from gpucnn.errors import ShapeError
from gpucnn.explain.compare import agrees
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Matrix, Step, Walk, matrix
from gpucnn.reference.sizes import Window, receptive_field

# A 5-tap convolution and a pool of 2: 5 cells, then 6 (S2's network).
LAYERS = (Window(5), Window(2, 2))
MOST_CELLS = 24


def walk(settings: Settings) -> Walk:
    """How far a neuron sees behind each layer, along one axis."""
    layers = settings.layers or LAYERS
    fields = receptive_field(layers)
    if fields[-1].size > MOST_CELLS:
        raise ShapeError(
            f"the last layer sees {fields[-1].size} cells, and explain draws at most {MOST_CELLS}:"
            " give fewer or smaller layers"
        )
    counts = _ways(layers)
    if len(counts[0]) != fields[-1].size:
        raise ArithmeticError(f"{counts[0]} is not a field of {fields[-1].size} cells")
    sums, size, jump = [], 1, 1
    for index, (layer, field) in enumerate(zip(layers, fields, strict=True)):
        reach = f"({layer.kernel} - 1)" + (f"·{layer.dilation}" if layer.dilation > 1 else "")
        sums.append(
            f"layer {index} (kernel {layer.kernel}, stride {layer.stride}):"
            f" field {size} + {reach}·{jump} = {field.size}, jump {jump}·{layer.stride} ="
            f" {field.jump}"
        )
        size, jump = field.size, field.jump
    strips = [_strip(index, values) for index, values in enumerate(counts)]
    step = Step(
        "One neuron of the last layer, and what it sees below",
        "A number is how many ways lead from that cell to the neuron: a 1 sent back through kernels"
        " of ones. A window reaches (kernel - 1) times the distance (jump) of the cells it sees.",
        "S2",
        tuple((strip,) for strip in reversed(strips)),
        sums=tuple(sums),
        agrees="agrees with Ops conv2d_backward_input on cpu",
    )
    names = " - ".join(f"{w.kernel}/{w.stride}" for w in layers)
    return Walk("receptive-field", f"The receptive field of layers {names}", (step,))


def _ways(layers: Sequence[Window]) -> list[np.ndarray]:
    """How many ways lead from each cell of each layer's input to one neuron; the input first.

    That is the gradient of the neuron through kernels of ones, which is what is compared.
    """
    counts = [np.ones(1)]
    for layer in reversed(layers):
        above = counts[0]
        width = (len(above) - 1) * layer.stride + layer.dilation * (layer.kernel - 1) + 1
        below = np.zeros(width)
        for cell, tap in np.ndindex(len(above), layer.kernel):
            below[cell * layer.stride + tap * layer.dilation] += above[cell]
        agrees(
            below[None, None, None],
            "conv2d_backward_input",
            above[None, None, None],
            np.ones((1, 1, 1, layer.kernel)),
            (1, 1, 1, width),
            stride=(1, layer.stride),
            dilation=(1, layer.dilation),
        )
        counts.insert(0, below)
    return counts


def _strip(index: int, values: np.ndarray) -> Matrix:
    name = f"behind layer {index - 1}" if index else "input"
    return matrix(name, values, "result" if index else "input")
