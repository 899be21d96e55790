"""The rows of `gpucnn check`: by hand for a small network, and what a cell sees by its gradient."""

from collections.abc import Sequence

import numpy as np
import pytest

import gpucnn
from gpucnn.layers import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    Relu,
    Residual,
    Sequential,
)
from gpucnn.summary import summarize


def built(layers: Sequence[Layer], input_shape: Sequence[int]) -> Sequential:
    model = Sequential(layers)
    model.build(input_shape, gpucnn.get_ops("cpu"), seed=0, dtype="float64")
    return model


def test_a_small_network_by_hand() -> None:
    model = built(
        [
            Conv2d(filters=4, kernel_size=3, padding=1, name="stem"),
            Relu(),
            AvgPool2d(kernel_size=2),
            Residual(body=[Conv2d(filters=4, kernel_size=5, padding=2, bias=False)]),
            Sequential([BatchNorm2d(), Flatten()]),
            Linear(units=10),
        ],
        (1, 8, 8),
    )
    rows = summarize(model)
    shown = [
        (row.path.removeprefix("model.layers."), row.output_shape, row.parameters, row.macs)
        for row in rows
    ]
    assert shown == [
        ("0", (4, 8, 8), 4 * 9 + 4, 64 * 4 * 9),
        ("1", (4, 8, 8), 0, 0),
        ("2", (4, 4, 4), 0, 0),
        ("3", (4, 4, 4), 4 * 4 * 25, 16 * 4 * 4 * 25),
        ("3.residual.body.0", (4, 4, 4), 4 * 4 * 25, 16 * 4 * 4 * 25),
        ("4", (64,), 8, 0),
        ("4.sequential.layers.0", (4, 4, 4), 8, 0),
        ("4.sequential.layers.1", (64,), 0, 0),
        ("5", (10,), 650, 640),
    ]
    assert [(row.name, row.kind) for row in rows[:2]] == [("stem", "conv2d"), ("relu", "relu")]
    assert [row.path for row in rows if not row.leaf] == ["model.layers.3", "model.layers.4"]
    # 4 bytes a value and image; flatten and the sequential hand on what they have.
    per_image = [4 * n for n in (256, 256, 64, 64, 64, 0, 64, 0, 10)]
    assert [row.activation_bytes(1) for row in rows] == per_image
    assert [row.activation_bytes(3) for row in rows] == [3 * size for size in per_image]
    fields = [(row.field.size, row.field.jump) if row.field else None for row in rows]
    assert fields == [
        ((3, 3), (1, 1)),
        ((3, 3), (1, 1)),
        ((4, 4), (2, 2)),
        ((12, 12), (2, 2)),
        ((12, 12), (2, 2)),
        None,
        ((12, 12), (2, 2)),
        None,
        None,
    ]


def test_leaves_add_up_to_the_model() -> None:
    model = built(
        [Concat([[Conv2d(filters=2, kernel_size=1)], []]), GlobalAvgPool2d(), Linear(units=3)],
        (3, 4, 4),
    )
    leaves = [row for row in summarize(model) if row.leaf]
    assert sum(row.parameters for row in leaves) == sum(p.value.size for p in model.parameters())
    assert sum(row.macs for row in leaves) == model.macs()


def test_a_model_of_vectors_has_no_fields() -> None:
    rows = summarize(built([Linear(units=4), Relu()], (5,)))
    assert [row.field for row in rows] == [None, None]


def reach(model: Sequential, cell: tuple[int, int]) -> list[tuple[int, int]]:
    """First and last input row, and column, on which one output cell depends: by its gradient."""
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.value[...] = rng.uniform(0.5, 1, parameter.value.shape)  # nothing cancels
    model.forward(np.zeros((1, *model.input_shape)), train=True)
    dy = np.zeros((1, *model.output_shape))
    dy[0, 0, cell[0], cell[1]] = 1
    seen = np.abs(model.backward(dy))[0].sum(axis=0) > 0
    return [(int(hit.min()), int(hit.max())) for hit in map(np.flatnonzero, _lines(seen))]


def _lines(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return seen.any(axis=1), seen.any(axis=0)


@pytest.mark.parametrize(
    "layers",
    [
        [Conv2d(filters=2, kernel_size=3, padding=1), Conv2d(filters=2, kernel_size=3, padding=1)],
        [Conv2d(filters=1, kernel_size=(3, 5), stride=(2, 1), padding=(1, 2))],
        [Conv2d(filters=2, kernel_size=3, dilation=3), AvgPool2d(kernel_size=3, stride=2)],
        [
            AvgPool2d(kernel_size=2),
            Residual(body=[Conv2d(filters=1, kernel_size=3, padding=1), Relu()]),
            Conv2d(filters=1, kernel_size=3),
        ],
        [
            Concat(
                [
                    [Conv2d(filters=1, kernel_size=1)],
                    [Conv2d(filters=1, kernel_size=5, padding=2)],
                ]
            ),
            Conv2d(filters=1, kernel_size=3, stride=2, padding=1),
        ],
    ],
    ids=["two_3x3", "oblong", "dilated", "residual", "concat"],
)
def test_field_and_jump_are_what_gradients_reach(layers: list[Layer]) -> None:
    model = Sequential(layers)
    gpucnn.layers.set_rounding(model, "floor")
    model.build((1, 32, 32), gpucnn.get_ops("cpu"), seed=0, dtype="float64")
    row = summarize(model)[-1]
    assert row.field is not None
    _, p, q = model.output_shape
    here, next_down, next_right = (
        reach(model, cell)
        for cell in ((p // 2, q // 2), (p // 2 + 1, q // 2), (p // 2, q // 2 + 1))
    )
    assert tuple(last - first + 1 for first, last in here) == row.field.size
    jump = next_down[0][0] - here[0][0], next_right[1][0] - here[1][0]
    assert jump == row.field.jump


def test_a_transposed_convolution_divides_the_jump() -> None:
    model = built(
        [
            Conv2d(filters=1, kernel_size=3, padding=1, stride=2),
            ConvTranspose2d(filters=1, kernel_size=4, stride=2, padding=1),
        ],
        (1, 31, 31),
    )
    field = summarize(model)[-1].field
    assert field is not None
    # The image is halved and enlarged again: a cell a pixel. It sees 2 cells that see 3 pixels
    # each and lie 2 apart.
    assert (field.size, field.jump) == ((5, 5), (1, 1))
    first, last = reach(model, (15, 15))[0]
    assert last - first + 1 == 5
