"""Fused layers: the same bits, names and frames as layers that each do their own work."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.layers import Layer, fuse, unfuse
from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.optimizers import SGD
from gpucnn.summary import summarize
from tests.layers.harness import rng

METHODS = ("add", "relu_forward", "relu_backward", "batch_norm2d_forward", "conv2d_forward")


def block(filters: int = 3, stride: int = 1, shortcut: Any = (), end: Any = None) -> Layer:
    """A residual block in the manner of ResNet."""
    body = [
        gl.Conv2d(filters, 3, stride=stride, padding=1, bias=False, rounding="floor"),
        gl.BatchNorm2d(),
        gl.Relu(),
        gl.Conv2d(filters, 3, padding=1, bias=False),
        end or gl.BatchNorm2d(),
    ]
    return gl.Residual(body, shortcut=shortcut)


def short(filters: int) -> list[Layer]:
    conv = gl.Conv2d(filters, 1, stride=2, bias=False, rounding="floor")
    return [conv, gl.BatchNorm2d()]


class OwnRelu(gl.Relu):
    """Not the library's: nothing is known of it."""


MODELS: dict[str, Callable[[], list[Layer]]] = {
    "conv_relu_pool": lambda: [gl.Conv2d(4, 3), gl.Relu(), gl.MaxPool2d(2)],
    "conv_relu_pool_overlapping": lambda: [gl.Conv2d(4, 3), gl.Relu(), gl.MaxPool2d(3, stride=1)],
    "conv_pool_relu_pool": lambda: [
        gl.Conv2d(4, 3), gl.MaxPool2d(2), gl.Relu(), gl.MaxPool2d(3, stride=1),
    ],
    "conv_relu_conv": lambda: [gl.Conv2d(4, 3), gl.Relu(), gl.Conv2d(3, 3, bias=False), gl.Relu()],
    "norm_relu_pool": lambda: [gl.Conv2d(4, 3), gl.BatchNorm2d(), gl.Relu(), gl.MaxPool2d(2)],
    "relu_first_and_twice": lambda: [gl.Relu(), gl.Conv2d(4, 3), gl.Relu(), gl.Relu()],
    "blocks": lambda: [
        gl.Conv2d(3, 3, padding=1), gl.BatchNorm2d(), gl.Relu(), block(), gl.Relu(),
        block(4, 2, short(4)), gl.Relu(), gl.GlobalAvgPool2d(),
    ],
    "block_without_relu_behind": lambda: [gl.Conv2d(3, 1), block(), gl.MaxPool2d(2)],
    "block_that_ends_in_relu": lambda: [
        gl.Conv2d(3, 1), block(end=gl.Relu()), gl.Relu(), gl.MaxPool2d(2),
    ],
    "blocks_in_blocks": lambda: [
        gl.Sequential([gl.Conv2d(3, 1), gl.Relu()]),
        gl.Residual([gl.BatchNorm2d(), gl.Relu(), block(), gl.Relu(), gl.BatchNorm2d()]),
        gl.Relu(),
        gl.Concat([[gl.Conv2d(2, 1), gl.Relu()], [], [gl.BatchNorm2d(), gl.Relu()]]),
        gl.Relu(),
    ],
    "frozen": lambda: [
        gl.Conv2d(4, 3, frozen=True), gl.Relu(), gl.BatchNorm2d(frozen=True), gl.Relu(),
        gl.Residual([gl.BatchNorm2d(frozen=True)]), gl.Relu(),
    ],
    "subclass": lambda: [gl.Conv2d(4, 3), OwnRelu(), gl.BatchNorm2d(), gl.Relu()],
}  # fmt: skip
SHAPE = (3, 8, 8)


def model(name: str, ops: Ops, dtype: str) -> gl.Sequential:
    built = gl.Sequential([*MODELS[name](), gl.Flatten(), gl.Linear(2)])
    built.build(SHAPE, ops, 5, dtype=dtype)
    return built


def bits(ops: Ops, arrays: Any) -> list[bytes]:
    return [ops.to_numpy(a).tobytes() for a in arrays]


def steps(built: gl.Sequential, ops: Ops, dtype: str, x: np.ndarray, count: int = 2) -> list[bytes]:
    """Everything that training steps and an evaluation compute."""
    results: list[bytes] = []
    optimizer = SGD(lr=0.1, momentum=0.9)
    optimizer.bind(built.parameters(), ops)
    dy = ops.asarray(rng(1).standard_normal((len(x), 2)), dtype)
    for _ in range(count):
        y = built.forward(ops.asarray(x, dtype), train=True)
        dx = built.backward(dy)
        grads = [p.grad for p in built.parameters() if not p.frozen]
        results += bits(ops, [y, dx, *grads])
        optimizer.step()
    y = built.forward(ops.asarray(x, dtype), train=False)
    return results + bits(ops, [y, *built.state().values()])


def images(count: int = 3) -> np.ndarray:
    return np.asarray(rng(2).standard_normal((count, *SHAPE)))


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_are_the_same(ops: Ops, dtype: str, name: str) -> None:
    apart, fused = model(name, ops, dtype), model(name, ops, dtype)
    fuse(fused)
    assert steps(fused, ops, dtype, images()) == steps(apart, ops, dtype, images())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
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
def test_the_model_looks_the_same(name: str) -> None:
    ops = NumpyOps()
    apart, fused = model(name, ops, "float32"), model(name, ops, "float32")
    fuse(fused)
    assert summarize(fused) == summarize(apart)
    assert list(fused.state()) == list(apart.state())
    assert [layer.label for layer in fused.walk()] == [layer.label for layer in apart.walk()]


def calls(built: gl.Sequential, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often one training step calls each of METHODS."""
    counts = dict.fromkeys(METHODS, 0)
    with monkeypatch.context() as patch:
        for method in METHODS:

            def counting(*args: Any, method: str = method, **options: Any) -> Any:
                counts[method] += 1
                return getattr(type(ops), method)(ops, *args, **options)

            patch.setattr(ops, method, counting, raising=False)
        steps(built, ops, "float32", images(), count=1)
    return counts


# What is left of ReLU and of sums in a training step and an evaluation.
LEFT = {
    "conv_relu_pool": (0, 0, 0),
    "conv_relu_pool_overlapping": (0, 0, 0),
    "conv_pool_relu_pool": (2, 0, 0),
    "conv_relu_conv": (0, 0, 0),
    "norm_relu_pool": (0, 0, 0),
    "relu_first_and_twice": (4, 1, 0),
    "blocks": (0, 0, 0),
    "block_without_relu_behind": (0, 0, 0),
    "block_that_ends_in_relu": (0, 1, 2),
    "blocks_in_blocks": (2, 2, 3),
    "frozen": (0, 1, 1),
    "subclass": (2, 1, 0),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_to_do_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = NumpyOps()
    built = model(name, ops, "float32")
    before = calls(built, ops, monkeypatch)
    fuse(built)
    counts = calls(built, ops, monkeypatch)
    assert (counts["relu_forward"], counts["relu_backward"], counts["add"]) == LEFT[name]
    unfuse(built)
    assert calls(built, ops, monkeypatch) == before


def test_fusing_twice_is_fusing_once() -> None:
    built = model("blocks_in_blocks", NumpyOps(), "float32")
    fuse(built)
    once = [getattr(layer, "fusion", None) for layer in built.walk()]
    fuse(built)
    assert [getattr(layer, "fusion", None) for layer in built.walk()] == once
