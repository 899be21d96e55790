"""The seeds' statements about layers: SEEDS A12, A14, A15, A25 and N1 to N3."""

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.layers import Layer, Sequential
from gpucnn.ops.base import Ops
from tests.layers.harness import rng, run
from tests.oracles.tolerance import assert_close


def parameters(model: Layer, shape: tuple[int, ...], ops: Ops) -> int:
    model.build(shape, ops, 0)
    return sum(parameter.size for parameter in model.parameters())


def test_n1_filters_count_their_weights_and_one_bias(ops: Ops) -> None:
    layer = gl.Conv2d(20, 5)
    assert parameters(layer, (1, 28, 28), ops) == 520
    assert layer.output_shape == (20, 24, 24)


def s2_head() -> list[Layer]:
    return [gl.Conv2d(3, 5), gl.Relu(), gl.MaxPool2d(2), gl.Flatten()]


def test_n2_the_network_of_s2(ops: Ops) -> None:
    model = Sequential([*s2_head(), gl.Linear(10)])
    assert parameters(model, (1, 28, 28), ops) == 4408
    shapes = [layer.output_shape for layer in model.layers]
    assert shapes == [(3, 24, 24), (3, 24, 24), (3, 12, 12), (432,), (10,)]
    counts = [sum(p.size for p in layer.parameters()) for layer in model.layers]
    assert counts == [78, 0, 0, 0, 4330]


def test_n3_the_longer_tail_of_s2(ops: Ops) -> None:
    model = Sequential([*s2_head(), gl.Linear(128), gl.Relu(), gl.Linear(10), gl.Softmax()])
    assert parameters(model, (1, 28, 28), ops) == 56792
    counts = [sum(p.size for p in layer.parameters()) for layer in model.layers]
    assert counts[4:] == [55424, 0, 1290, 0]


def test_a12_global_average_is_one_number_a_map_at_any_resolution(ops: Ops) -> None:
    for size in ((7, 7), (3, 5)):
        layer = gl.GlobalAvgPool2d()
        assert layer.build((64, *size), ops, 0, dtype="float64") == (64,)
        x = rng(0).standard_normal((2, 64, *size))
        y, dx = run(layer, x, np.ones((2, 64)))
        cells = size[0] * size[1]
        assert_close(y, x.mean(axis=(2, 3)), terms=2 * cells, magnitude=abs(x).mean(axis=(2, 3)))
        assert_close(dx, np.full_like(x, 1 / cells), terms=2)


def test_a14_flatten_is_channel_row_column(ops: Ops) -> None:
    layer = gl.Flatten()
    assert layer.build((3, 12, 12), ops, 0) == (432,)
    x = rng(0).standard_normal((2, 3, 12, 12)).astype("float32")
    y, dx = run(layer, x, x.reshape(2, 432))
    for c, h, w in [(0, 0, 1), (1, 2, 3), (2, 11, 11)]:
        np.testing.assert_array_equal(y[:, c * 144 + h * 12 + w], x[:, c, h, w])
    np.testing.assert_array_equal(dx, x)


def test_a15_linear_is_a_convolution_with_a_kernel_of_the_whole_image(ops: Ops) -> None:
    shape, units = (3, 4, 5), 7
    features = 3 * 4 * 5
    linear = Sequential([gl.Flatten(), gl.Linear(units)])
    conv = Sequential([gl.Conv2d(units, (4, 5)), gl.Flatten()])
    for model in (linear, conv):
        assert model.build(shape, ops, 0, dtype="float64") == (units,)
    fc, kernel = linear.layers[1], conv.layers[0]
    bias = ops.asarray(rng(1).standard_normal(units))
    kernel.weight.value[...] = fc.weight.value.reshape(units, *shape)
    fc.bias.value[...] = kernel.bias.value[...] = bias

    x, dy = rng(2).standard_normal((6, *shape)), rng(3).standard_normal((6, units))
    (y1, dx1), (y2, dx2) = run(linear, x, dy), run(conv, x, dy)
    w = abs(ops.to_numpy(fc.weight.value))
    flat, delta = abs(x).reshape(6, features), abs(dy)
    magnitude = flat @ w.T + abs(ops.to_numpy(bias))
    assert_close(y2, y1, terms=2 * (features + 1), magnitude=magnitude)
    assert_close(dx2, dx1, terms=2 * units, magnitude=(delta @ w).reshape(x.shape))
    dw1, dw2 = (ops.to_numpy(layer.weight.grad) for layer in (fc, kernel))
    assert_close(dw2.reshape(dw1.shape), dw1, terms=12, magnitude=delta.T @ flat)
    db1, db2 = (ops.to_numpy(layer.bias.grad) for layer in (fc, kernel))
    assert_close(db2, db1, terms=12, magnitude=delta.sum(axis=0))


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


def test_a25_receptive_fields(ops: Ops) -> None:
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


@pytest.mark.parametrize(("tie_break", "winner"), [("row_major", (0, 1)), ("column_major", (1, 0))])
def test_c7_ties_by_rows_or_by_columns(ops: Ops, tie_break: str, winner: tuple[int, int]) -> None:
    layer = gl.MaxPool2d(2, tie_break=tie_break)
    layer.build((1, 2, 2), ops, 0)
    x = np.array([[[[1, 5], [5, 5]]]], "float32")
    y, dx = run(layer, x, np.ones((1, 1, 1, 1), "float32"))
    assert y == 5
    assert np.argwhere(dx[0, 0]).tolist() == [list(winner)]
