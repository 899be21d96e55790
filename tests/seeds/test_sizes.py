"""Sizes: S4's strict rule, S3's "same" padding, names, counts and receptive fields of networks."""

import inspect
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, Softmax
from gpucnn.ops.base import Ops
from gpucnn.reference.sizes import Window, output_size, receptive_field, same_padding
from tests.seeds.examples import A, K, corr, equal, maps

SIZES = [(5, 3, 0, 1, 3), (28, 5, 0, 1, 24), (24, 2, 0, 2, 12), (3, 3, 1, 2, 2)]


@pytest.mark.seed("A1")
@pytest.mark.parametrize(("W", "F", "P", "S", "out"), SIZES)
def test_sizes_that_are_whole_numbers(ops: Ops, W: int, F: int, P: int, S: int, out: int) -> None:
    assert output_size(W, F, P, S) == out
    layer = Conv2d(1, F, padding=P, stride=S)
    assert layer.build((1, W, W), ops, 0) == (1, out, out)
    y = corr(ops, np.ones((W, W)), np.ones((F, F)), "float32", padding=P, stride=S)
    assert y.shape == (1, 1, out, out)


@pytest.mark.seed("A1")
def test_a_fraction_is_refused_unless_floor_is_chosen(ops: Ops) -> None:
    """S4: where the size is no whole number, the hyper-parameters are wrong."""
    with pytest.raises(ShapeError, match=r"= 2\.5 is not a whole number"):
        output_size(6, 3, 0, 2)
    with pytest.raises(ShapeError, match=r"conv2d.*height.*= 2\.5.*width"):
        Conv2d(1, 3, stride=2).build((1, 6, 6), ops, 0)
    floored = Conv2d(1, 3, stride=2, rounding="floor")
    assert floored.build((1, 6, 6), ops, 0) == (1, 2, 2)


@pytest.mark.seed("A1")
def test_impossible_sizes_are_refused(ops: Ops) -> None:
    with pytest.raises(ShapeError):
        Conv2d(1, 6, padding=0).build((1, 5, 5), ops, 0)
    for wrong in ({"stride": 0}, {"padding": -1}):
        with pytest.raises(ConfigError):
            Conv2d(1, 3, **wrong).build((1, 5, 5), ops, 0)
    for numbers in ((5, 6, 0, 1), (5, 3, 0, 0), (5, 3, -1, 1)):
        with pytest.raises(ValueError):
            output_size(*numbers)


@pytest.mark.seed("A2")
def test_same_padding_at_either_end(ops: Ops, dtype: str) -> None:
    """An even kernel's extra row and column, below and right or above and left."""
    below = corr(ops, A, K, dtype, padding=((0, 1), (0, 1)))
    equal(below, [[7, 0, -3, 3], [1, 6, 8, -2], [3, 2, 0, 3]])
    above = corr(ops, A, K, dtype, padding=((1, 0), (1, 0)))
    equal(above, [[1, 2, -2, 3], [2, 7, 0, -3], [3, 1, 6, 8]])


@pytest.mark.seed("A2")
def test_same_padding_of_a_layer_is_below_and_right(ops: Ops, dtype: str) -> None:
    assert same_padding(2) == ((0, 1), (0, 1))
    layer = Conv2d(1, 2, padding="same", bias=False)
    assert layer.build((1, 3, 4), ops, 0, dtype=dtype) == (1, 3, 4)
    layer.weight.value[...] = ops.asarray(maps(K, dtype))
    y = layer.forward(ops.asarray(maps(A, dtype)), train=False)
    equal(ops.to_numpy(y), [[7, 0, -3, 3], [1, 6, 8, -2], [3, 2, 0, 3]])


@pytest.mark.seed("C9")
def test_the_names_of_the_hyper_parameters() -> None:
    """S0 calls the kernel's size K or k, S4 F, S3 H' and W'; here it has one name everywhere."""
    names = {"kernel_size", "stride", "padding", "dilation", "groups"}
    assert names < set(inspect.signature(Conv2d).parameters)
    assert names - {"groups"} < set(inspect.signature(MaxPool2d).parameters)
    assert names - {"kernel_size"} < set(inspect.signature(Ops.conv2d_forward).parameters)


def parameters(layer: Any) -> int:
    return sum(int(np.prod(p.value.shape)) for p in layer.parameters())


@pytest.mark.seed("N1", "E12")
def test_a_filter_bank_of_s2(ops: Ops) -> None:
    """20 filters 5x5 on 28x28: 520 = 20·(25 + 1) parameters (S2 writes 25·26, its error E12)."""
    layer = Conv2d(20, 5)
    assert layer.build((1, 28, 28), ops, 0) == (20, 24, 24)
    assert parameters(layer) == 520


def seed_network(*head: Any) -> Sequential:
    return Sequential(layers=[Conv2d(3, 5), Relu(), MaxPool2d(2), Flatten(), *head])


@pytest.mark.seed("N2", "C10")
def test_the_network_of_s2(ops: Ops) -> None:
    """Layers count from 0: the first is the convolution, and its input the image."""
    model = seed_network(Linear(10))
    assert model.build((1, 28, 28), ops, 0) == (10,)
    shapes = [layer.output_shape for layer in model.layers]
    assert shapes == [(3, 24, 24), (3, 24, 24), (3, 12, 12), (432,), (10,)]
    assert [parameters(layer) for layer in model.layers] == [78, 0, 0, 0, 4330]
    assert parameters(model) == 4408
    assert isinstance(model.layers[0], Conv2d)
    assert model.layers[0].input_shape == (1, 28, 28)


@pytest.mark.seed("N3")
def test_the_longer_tail_of_s2(ops: Ops) -> None:
    model = seed_network(Linear(128), Relu(), Linear(10), Softmax())
    model.build((1, 28, 28), ops, 0)
    assert [parameters(layer) for layer in model.layers][4:] == [55424, 0, 1290, 0]
    assert parameters(model) == 56792


@pytest.mark.seed("A25")
def test_receptive_fields_grow_with_depth(ops: Ops) -> None:
    """The reference and the layers' windows, from which `gpucnn check` reckons."""
    for layers, fields in (
        ([Conv2d(1, 5), MaxPool2d(2)], [(5, 1), (6, 2)]),
        ([Conv2d(1, 3), Conv2d(1, 3)], [(3, 1), (5, 1)]),
        ([Conv2d(1, 3, dilation=2), MaxPool2d(2), Conv2d(1, 3)], [(5, 1), (6, 2), (10, 2)]),
    ):
        model = Sequential(layers)
        model.build((1, 28, 28), ops, 0)
        windows = [Window(*seen(layer)) for layer in model.layers]
        assert receptive_field(windows) == fields


def seen(layer: Any) -> tuple[int, int]:
    """A layer's extent (dilation counted in) and stride along the height."""
    (extent, _), (stride, _) = layer.window()
    return extent, stride
