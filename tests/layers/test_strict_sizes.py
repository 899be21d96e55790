"""The strict size rule of S4 (SEEDS A1), the settings it proposes, and 'same' padding."""

import re
from typing import Any

import numpy as np
import pytest
import yaml

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import AvgPool2d, Conv2d, Layer, LpPool2d, MaxPool2d, Sequential, set_rounding
from gpucnn.ops.base import Ops
from tests.layers.harness import rng, run


@pytest.mark.parametrize(
    ("w", "f", "p", "s", "expected"),
    [(5, 3, 0, 1, 3), (28, 5, 0, 1, 24), (24, 2, 0, 2, 12), (3, 3, 1, 2, 2)],
)
@pytest.mark.parametrize("layer", [Conv2d, MaxPool2d, AvgPool2d])
def test_sizes_that_tile(
    ops: Ops, layer: type, w: int, f: int, p: int, s: int, expected: int
) -> None:
    options: dict[str, Any] = {"kernel_size": f, "padding": p, "stride": s}
    if layer is Conv2d:
        options["filters"] = 1
    assert layer(**options).build((1, w, w), ops, 0) == (1, expected, expected)


@pytest.mark.parametrize(
    ("f", "p", "s", "w", "error"),
    [(3, 0, 2, 6, ShapeError), (7, 0, 1, 6, ShapeError), (3, 0, 0, 6, ConfigError),
     (3, -1, 1, 6, ConfigError)],
)  # fmt: skip
def test_sizes_that_do_not(ops: Ops, f: int, p: int, s: int, w: int, error: type) -> None:
    with pytest.raises(error):
        Conv2d(1, f, padding=p, stride=s).build((1, w, w), ops, 0)


FAULTS: list[tuple[type[Layer], dict[str, Any], tuple[int, int], str]] = [
    (Conv2d, {"kernel_size": 3, "stride": 2}, (6, 6), "(6 - 3 + 0)/2 + 1 = 2.5"),
    (Conv2d, {"kernel_size": 3, "stride": 2}, (7, 6), "the width does not tile"),
    (Conv2d, {"kernel_size": 3, "stride": 2}, (6, 7), "the height does not tile"),
    (Conv2d, {"kernel_size": 3, "stride": 2, "padding": 1}, (32, 32), "(32 - 3 + 2)/2 + 1 = 16.5"),
    (Conv2d, {"kernel_size": 5, "stride": 3, "padding": 2}, (32, 30), "(32 - 5 + 4)/3"),
    (Conv2d, {"kernel_size": (1, 3), "stride": (4, 2)}, (28, 9), "(28 - 1 + 0)/4"),
    (Conv2d, {"kernel_size": 3, "stride": 4, "padding": [[0, 1], [2, 0]]}, (9, 9), "9 - 3 + 1"),
    (Conv2d, {"kernel_size": 3, "stride": 2, "dilation": 3}, (16, 15), "(16 - 7 + 0)/2"),
    (Conv2d, {"kernel_size": 3, "stride": 2, "padding": "valid"}, (8, 8), "= 3.5 "),
    (Conv2d, {"kernel_size": 11, "stride": 4}, (224, 224), "(224 - 11 + 0)/4 + 1 = 54.25"),
    (MaxPool2d, {"kernel_size": 2}, (7, 7), "(7 - 2 + 0)/2 + 1 = 3.5"),
    (MaxPool2d, {"kernel_size": 2}, (7, 9), "the height does not tile"),
    (MaxPool2d, {"kernel_size": 3, "stride": 2}, (32, 32), "= 15.5"),
    (MaxPool2d, {"kernel_size": 3, "stride": 2, "padding": 1}, (56, 55), "(56 - 3 + 2)/2"),
    (MaxPool2d, {"kernel_size": 2, "stride": 3, "dilation": 2}, (5, 7), "(5 - 3 + 0)/3"),
    (MaxPool2d, {"kernel_size": 3, "stride": 3, "dilation": 2, "padding": 4}, (2, 2), "tile"),
    (AvgPool2d, {"kernel_size": 3, "padding": [1, 0]}, (4, 4), "(4 - 3 + 0)/3"),
    (LpPool2d, {"kernel_size": (2, 3)}, (9, 10), "(10 - 3 + 0)/3"),
]


def build(ops: Ops, layer: type[Layer], options: dict[str, Any], size: tuple[int, int]) -> Layer:
    made = layer(**({"filters": 2} if layer is Conv2d else {}), **options)
    made.build((1, *size), ops, 0)
    return made


@pytest.mark.parametrize(("layer", "options", "size", "numbers"), FAULTS)
def test_every_setting_that_the_error_lists_works(
    ops: Ops, layer: type[Layer], options: dict[str, Any], size: tuple[int, int], numbers: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        build(ops, layer, options, size)
    message = str(caught.value)
    assert message.startswith(f"{layer.kind}: the ")
    assert numbers in message
    # The settings stand in the message as a config writes them.
    settings = [yaml.safe_load(text) for text in re.findall("`(.*?)`", message)]
    assert {"rounding": "floor"} in settings
    assert len(settings) == len({str(setting) for setting in settings}) >= 3
    for setting in settings:
        build(ops, layer, {**options, **setting}, size)  # strict, but for rounding: floor


def test_the_listed_settings_are_the_nearest(ops: Ops) -> None:
    with pytest.raises(ShapeError) as caught:
        Conv2d(1, 3, stride=2, padding=1).build((1, 32, 33), ops, 0)
    assert re.findall("`(.*?)`", str(caught.value)) == [
        "kernel_size: [2, 3]",
        "kernel_size: [4, 3]",
        "stride: [1, 2]",
        "padding: [[1, 2], [1, 1]]",
        "rounding: floor",
    ]
    with pytest.raises(ShapeError) as caught:
        Conv2d(1, 1, stride=3).build((1, 6, 6), ops, 0)
    assert re.findall("`(.*?)`", str(caught.value)) == [
        "kernel_size: 3",
        "stride: 1",
        "stride: 5",
        "padding: 2",
        "padding: [[0, 1], [0, 1]]",
        "rounding: floor",
    ]


def test_layer_and_model_can_floor(ops: Ops) -> None:
    strict = {"kernel_size": 3, "stride": 2}
    assert Conv2d(1, **strict, rounding="floor").build((1, 6, 6), ops, 0) == (1, 2, 2)

    model = Sequential([Sequential([Conv2d(1, **strict)]), MaxPool2d(3)])
    set_rounding(model, "floor")
    assert model.build((1, 10, 10), ops, 0) == (1, 1, 1)
    set_rounding(model, "strict")
    with pytest.raises(ShapeError, match=r"model\.layers\.0\.sequential\.layers\.0 conv2d"):
        model.build((1, 10, 10), ops, 0)

    model = Sequential([Conv2d(1, **strict, rounding="strict")])
    set_rounding(model, "floor")
    with pytest.raises(ShapeError, match="does not tile"):
        model.build((1, 10, 10), ops, 0)
    with pytest.raises(ConfigError, match="rounding must be one of 'strict', 'floor', got 'ceil'"):
        set_rounding(model, "ceil")


def test_floor_leaves_the_last_cells_out(ops: Ops) -> None:
    layer = Conv2d(1, 3, stride=2, rounding="floor")
    layer.build((1, 6, 6), ops, 0, dtype="float64")
    x = rng(0).standard_normal((1, 1, 6, 6))
    _, dx = run(layer, x, np.ones((1, 1, 2, 2)))
    assert not dx[..., 5, :].any()
    assert not dx[..., 5].any()
    assert dx[..., :5, :5].all()


def test_ceil_mode_is_exempt(ops: Ops) -> None:
    assert MaxPool2d(2, ceil_mode=True).build((1, 7, 7), ops, 0) == (1, 4, 4)
    assert AvgPool2d(2, ceil_mode=True, rounding="strict").build((1, 7, 5), ops, 0) == (1, 4, 3)


SAME = [
    # size, kernel, stride, dilation, (top, bottom): ceil(size/stride) outputs, the odd one last
    (7, 3, 1, 1, (1, 1)),
    (7, 2, 1, 1, (0, 1)),
    (7, 4, 1, 1, (1, 2)),
    (7, 3, 1, 2, (2, 2)),
    (7, 2, 1, 3, (1, 2)),
    (7, 3, 2, 1, (1, 1)),
    (8, 3, 2, 1, (0, 1)),
    (8, 2, 2, 1, (0, 0)),
    (7, 2, 2, 1, (0, 1)),
    (9, 5, 3, 1, (1, 1)),
    (10, 5, 4, 1, (1, 2)),
    (10, 1, 3, 1, (0, 0)),
    (5, 3, 5, 1, (0, 0)),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation", "pads"), SAME)
def test_same_padding(
    ops: Ops, size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> None:
    options: dict[str, Any] = {"stride": (stride, 1), "dilation": (dilation, 1), "bias": False}
    same = Conv2d(1, (kernel, 1), padding="same", **options)
    assert same.build((1, size, 2), ops, 0, dtype="float64") == (1, -(-size // stride), 2)
    given = Conv2d(1, (kernel, 1), padding=(pads, (0, 0)), rounding="floor", **options)
    given.build((1, size, 2), ops, 0, dtype="float64")
    x = rng(0).standard_normal((1, 1, size, 2))
    np.testing.assert_array_equal(run(same, x), run(given, x))


def test_same_padding_of_seed_a2(ops: Ops) -> None:
    a = np.array([[1, 3, 1, 4], [2, 8, 5, 1], [3, 2, 0, 3]], "float64")
    expected = {
        "same": [[7, 0, -3, 3], [1, 6, 8, -2], [3, 2, 0, 3]],
        ((1, 0), (1, 0)): [[1, 2, -2, 3], [2, 7, 0, -3], [3, 1, 6, 8]],
        "valid": [[7, 0, -3], [1, 6, 8]],
    }
    for padding, y in expected.items():
        layer = Conv2d(1, 2, padding=padding, bias=False)
        layer.build((1, 3, 4), ops, 0, dtype="float64")
        layer.weight.value[...] = ops.asarray(np.array([[[[1.0, 0.0], [-1.0, 1.0]]]]))
        np.testing.assert_array_equal(run(layer, a[None, None])[0, 0], y)
