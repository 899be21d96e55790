"""conv2d and linear that work for ReLUs and residuals: same bits, and nothing left to do alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.layers import Layer, fuse
from gpucnn.layers.fusion import ALONE
from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from tests.layers.harness import rng
from tests.layers.test_fusion import SHAPE, calls, images, steps


def conv(filters: int = 3, **options: Any) -> gl.Conv2d:
    return gl.Conv2d(filters, 3, **{"padding": 1, "rounding": "floor", **options})


def head(*layers: Layer) -> list[Layer]:
    return [*layers, gl.Flatten(), gl.Linear(2)]


class OwnConv(gl.Conv2d):
    """Not the library's: nothing is known of it."""


MODELS: dict[str, Callable[[], list[Layer]]] = {
    "perceptron": lambda: [
        gl.Flatten(), gl.Linear(7), gl.Relu(), gl.Linear(6, bias=False), gl.Relu(), gl.Linear(2),
    ],
    "flatten_between": lambda: head(conv(), gl.Relu()),
    "body_of_one": lambda: head(conv(), gl.Residual([conv()]), gl.Relu()),
    "body_ends_in_conv": lambda: head(
        conv(), gl.Relu(), gl.Residual([conv(5), gl.Relu(), conv()]), gl.Relu(), gl.MaxPool2d(2),
    ),
    "shortcut_begins_with_conv": lambda: head(
        conv(), gl.Relu(),
        gl.Residual([gl.BatchNorm2d(), conv(4, stride=2)], shortcut=[conv(4, stride=2), gl.Relu()]),
        gl.Relu(), conv(),
    ),
    "shortcut_begins_otherwise": lambda: head(
        conv(), gl.Relu(), gl.Residual([conv(), gl.BatchNorm2d()], shortcut=[gl.BatchNorm2d()]),
        gl.Relu(), conv(),
    ),
    "body_begins_otherwise": lambda: head(
        conv(), gl.Relu(), gl.Residual([gl.BatchNorm2d(), gl.Relu(), conv()]), gl.Relu(),
    ),
    "residual_of_residuals": lambda: head(
        conv(), gl.Relu(),
        gl.Residual([conv(), gl.Residual([conv(), gl.BatchNorm2d()]), gl.Relu(), conv()]),
        gl.Relu(), gl.Residual([conv()], shortcut=[conv()]),
    ),
    "first_of_all": lambda: head(gl.Residual([conv(), gl.BatchNorm2d()]), gl.Relu()),
    "vectors": lambda: [
        gl.Flatten(), gl.Linear(5), gl.Relu(),
        gl.Residual([gl.Linear(5), gl.Relu(), gl.Linear(5)]), gl.Relu(), gl.Linear(2),
    ],
    "depthwise": lambda: head(
        conv(4), gl.Relu(), conv(4, groups=4), gl.Relu(), gl.Residual([conv(4, groups=4)]),
    ),
    "frozen": lambda: head(
        conv(frozen=True), gl.Relu(), gl.Residual([conv(frozen=True)]), gl.Relu(),
        gl.Flatten(), gl.Linear(4, frozen=True), gl.Relu(),
    ),
    "subclass": lambda: head(
        OwnConv(3, 3, padding=1), gl.Relu(), gl.Residual([OwnConv(3, 3, padding=1)]), gl.Relu(),
    ),
}  # fmt: skip

# relu_forward, relu_backward and add of a training step and an evaluation.
LEFT = {
    "perceptron": (0, 0, 0),
    "flatten_between": (0, 0, 0),
    "body_of_one": (0, 0, 0),
    "body_ends_in_conv": (0, 0, 0),
    "shortcut_begins_with_conv": (0, 1, 0),
    "shortcut_begins_otherwise": (0, 1, 1),
    "body_begins_otherwise": (0, 1, 1),
    "residual_of_residuals": (0, 0, 0),
    "first_of_all": (0, 0, 0),
    "vectors": (0, 1, 3),
    "depthwise": (0, 0, 0),
    "frozen": (0, 0, 0),
    "subclass": (2, 1, 3),
}


def model(name: str, ops: Ops, dtype: str) -> gl.Sequential:
    built = gl.Sequential(MODELS[name]())
    built.build(SHAPE, ops, 5, dtype=dtype)
    return built


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_are_the_same(ops: Ops, dtype: str, name: str) -> None:
    apart, fused = model(name, ops, dtype), model(name, ops, dtype)
    fuse(fused)
    assert steps(fused, ops, dtype, images()) == steps(apart, ops, dtype, images())


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_not_finite_goes_the_same_way(ops: Ops, name: str, value: float) -> None:
    x = images()
    x[1, 2, 3, 4] = value
    apart, fused = model(name, ops, "float32"), model(name, ops, "float32")
    fuse(fused)
    with np.errstate(all="ignore"):
        found, expected = (steps(m, ops, "float32", x, count=1) for m in (fused, apart))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.frombuffer(one, "f4"), np.frombuffer(other, "f4"))


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_to_do_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = NumpyOps()
    built = model(name, ops, "float32")
    fuse(built)
    counts = calls(built, ops, monkeypatch)
    assert (counts["relu_forward"], counts["relu_backward"], counts["add"]) == LEFT[name]


def test_nothing_is_left_for_the_next_pass(ops: Ops) -> None:
    """What a residual hands to its convolutions serves one pass, and keeps no memory."""
    built = model("residual_of_residuals", ops, "float32")
    fuse(built)
    y = built.forward(ops.asarray(images(), "float32"), train=True)
    built.backward(ops.asarray(rng(1).standard_normal(y.shape), "float32"))
    convs = [layer for layer in built.walk() if isinstance(layer, gl.Conv2d)]
    assert [(layer.residual, layer.dx_residual) for layer in convs] == [(None, None)] * len(convs)
    norms = [layer for layer in built.walk() if isinstance(layer, gl.BatchNorm2d)]
    assert [layer.residual_gradient for layer in norms] == [None] * len(norms)


def test_a_batch_norm_that_adds_a_shortcut_cuts_only_if_no_other_does() -> None:
    """Behind a residual, its mask would have to be read; a convolution behind has it as its x."""
    ops = NumpyOps()
    blocks = [gl.Residual([conv(), gl.BatchNorm2d()]) for _ in range(3)]
    rest = [gl.MaxPool2d(2), blocks[2], gl.Relu(), gl.GlobalAvgPool2d()]
    built = gl.Sequential([blocks[0], gl.Relu(), blocks[1], gl.Relu(), *rest])
    built.build(SHAPE, ops, 5)
    fuse(built)
    tails = [block.body.layers[1].fusion for block in blocks]
    assert [(tail.relu, tail.cut) for tail in tails] == [(True, False), (True, False), (True, True)]
    heads = [block.body.layers[0].fusion.relu_input for block in blocks]
    assert heads == [False, True, False]
    assert built.layers[4].fusion.relu_input


def test_a_layer_before_relu_that_feeds_two_does_not_cut() -> None:
    """The branches' gradients are summed behind a concat: the mask comes after the sum."""
    ops = NumpyOps()
    built = gl.Sequential(head(conv(), gl.Relu(), gl.Concat([[conv()], [conv()]])))
    built.build(SHAPE, ops, 5)
    fuse(built)
    assert not built.layers[1].fusion.no_backward
    assert all(branch.layers[0].fusion == ALONE for branch in built.layers[2].branches)
