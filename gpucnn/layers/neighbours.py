"""Neighbours that share a pass over memory: one layer does a part of another's work, same bits.

A ReLU or a residual's sum is one operation on a number that the layer before it has just made, or
that the layer behind it is about to pass back: done there, it costs no pass over memory of its own.
Every layer still runs, in its place and under its name; but what a conv2d, linear, batch_norm2d or
residual hands on is then what the ReLU behind it makes of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

from gpucnn.layers.activations import Relu
from gpucnn.layers.base import Layer
from gpucnn.layers.batch_norm2d import BatchNorm2d
from gpucnn.layers.conv2d import Conv2d
from gpucnn.layers.flatten import Flatten
from gpucnn.layers.fusion import ALONE, Fusion
from gpucnn.layers.linear import Linear
from gpucnn.layers.max_pool2d import MaxPool2d
from gpucnn.layers.residual import Residual
from gpucnn.layers.sequential import Chain, Sequential

Fusable = Conv2d | Linear | BatchNorm2d | Residual | Relu | MaxPool2d


def fuse(model: Layer) -> None:
    """Let the layers of `model` work for their neighbours wherever that spares a pass over memory.

    The library's own classes alone take part: a subclass may do anything. Do not call it between a
    forward and its backward. `unfuse` takes it back.
    """
    unfuse(model)
    for layer in model.walk():
        if type(layer) is Residual:
            layer.fusion = Fusion(
                tail=type(layer.tail) in (BatchNorm2d, Conv2d),
                head=type(layer.head) is Conv2d,
            )
    for layer in model.walk():
        if type(layer) in (Sequential, Chain):
            assert isinstance(layer, Sequential)
            _fuse_relus(layer.layers)


def unfuse(model: Layer) -> None:
    """Let every layer of `model` do its own work, no more and no less."""
    for layer in _fusable(model):
        layer.fusion = ALONE


@contextmanager
def unfused(model: Layer) -> Iterator[None]:
    """Inside, every layer's output is its own, as where nothing was ever fused."""
    before = {layer: layer.fusion for layer in _fusable(model)}
    unfuse(model)
    try:
        yield
    finally:
        for layer, fusion in before.items():
            layer.fusion = fusion


def _fusable(model: Layer) -> Iterator[Fusable]:
    for layer in model.walk():
        if isinstance(layer, Fusable):
            yield layer


def _fuse_relus(layers: Sequence[Layer]) -> None:
    """Of the layers of one chain: each ReLU's work goes to its neighbours.

    Its forward goes to the layer before it. So does its backward where that is a batch norm without
    a residual, which needs nothing more for it. Else the layer behind it does it, which has what
    ReLU made: conv2d and linear as their x, a max pool as its y (a winner's sign is that of the
    pooled value, so the smaller array tells what ReLU cut). What is left is a batch norm's, if the
    forward was.
    """
    for before, relu in pairwise(layers):
        if type(relu) is Relu and type(before) in (Conv2d, Linear, BatchNorm2d, Residual):
            assert isinstance(before, Conv2d | Linear | BatchNorm2d | Residual)
            alone = type(before) is BatchNorm2d
            before.fusion = replace(before.fusion, relu=True, cut=alone)
            tail = _tail(before)
            if tail is not None:
                tail.fusion = replace(tail.fusion, relu=True)
            relu.fusion = Fusion(no_forward=True, no_backward=alone)
    # Flatten hands the same numbers on, both ways.
    for relu, after in pairwise(layer for layer in layers if type(layer) is not Flatten):
        if type(relu) is Relu and not relu.fusion.no_backward:
            worker = after.head if type(after) is Residual and after.fusion.head else after
            if type(worker) in (Conv2d, Linear, MaxPool2d):
                assert isinstance(worker, Conv2d | Linear | MaxPool2d)
                worker.fusion = replace(worker.fusion, relu_input=True)
                relu.fusion = replace(relu.fusion, no_backward=True)
    for before, relu in pairwise(layers):
        tail = _tail(before)
        if type(relu) is Relu and not relu.fusion.no_backward and type(tail) is BatchNorm2d:
            tail.fusion = replace(tail.fusion, cut=True)
            relu.fusion = replace(relu.fusion, no_backward=True)


def _tail(layer: Layer) -> Conv2d | BatchNorm2d | None:
    """The layer that makes the sum in a residual's place, if there is one."""
    return layer.tail if type(layer) is Residual and layer.fusion.tail else None
