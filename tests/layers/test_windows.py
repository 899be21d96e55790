"""How far the windows of a network's layers reach into its input (S2)."""

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.layers import Layer, Sequential
from gpucnn.ops.base import Ops
from tests.layers.harness import run


def field(layers: list[Layer], size: int, ops: Ops) -> list[tuple[float, float]]:
    """(receptive field, jump) behind each layer along the height, by S2's recursion."""
    model = Sequential(layers)
    model.build((1, size, size + 1), ops, 0)
    extent, jump, result = 1.0, 1.0, []
    for layer in model.layers:
        window = layer.window()
        if window is not None:
            extent += (window[0][0] - 1) * jump
            jump *= window[1][0]
        result.append((extent, jump))
    return result


@pytest.mark.seed("A25")
def test_receptive_fields_of_networks(ops: Ops) -> None:
    assert field([gl.Conv2d(1, 5), gl.MaxPool2d((2, 1))], 28, ops) == [(5, 1), (6, 2)]
    assert field([gl.Conv2d(1, 3), gl.Relu(), gl.Conv2d(1, 3)], 9, ops)[-1] == (5, 1)
    assert field([gl.Conv2d(1, 3, dilation=2)], 9, ops) == [(5, 1)]
    assert field([gl.AvgPool2d(3, stride=2, rounding="floor")], 9, ops) == [(3, 2)]
    assert field([gl.LpPool2d((2, 1)), gl.GlobalAvgPool2d()], 8, ops)[-1][0] == 8


@pytest.mark.parametrize(
    ("layer", "extent", "stride"),
    [
        (gl.ConvTranspose2d(1, 4, stride=2), (2, 2), (1 / 2, 1 / 2)),
        (gl.ConvTranspose2d(1, (3, 5), stride=(1, 2)), (3, 3), (1, 1 / 2)),
        (gl.ConvTranspose2d(1, 2, stride=3), (1, 1), (1 / 3, 1 / 3)),
        (gl.ConvTranspose2d(1, 3, dilation=2, stride=2), (3, 3), (1 / 2, 1 / 2)),
    ],
)
def test_windows_of_transposed_convolutions_are_what_an_output_cell_sees(
    ops: Ops, layer: Layer, extent: tuple[int, int], stride: tuple[float, float]
) -> None:
    layer.build((1, 7, 7), ops, 0)
    assert layer.window() == (extent, stride)
    # The widest reach over all output cells, from the inputs that have a gradient.
    layer.weight.value[...] = 1
    _, p, q = layer.output_shape
    reach = [0, 0]
    for at in np.ndindex(p, q):
        dy = np.zeros((1, 1, p, q), "float32")
        dy[0, 0][at] = 1
        _, dx = run(layer, np.ones((1, 1, 7, 7), "float32"), dy)
        for axis, places in enumerate(np.nonzero(dx[0, 0])):
            if places.size:
                reach[axis] = max(reach[axis], int(places.max() - places.min()) + 1)
    assert tuple(reach) == extent
