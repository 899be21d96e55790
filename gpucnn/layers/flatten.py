"""Images to vectors."""

from math import prod
from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Shape
from gpucnn.ops.base import Array, Ops


@implements("A14", "C6")
class Flatten(Layer):
    """(C, H, W) -> (C·H·W,), channel by channel, row by row; also any other shape (S2)."""

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        return (prod(input_shape),)

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        return x.reshape((x.shape[0], *self.output_shape)), None

    def _backward(self, dy: Array, saved: Any) -> Array:
        return dy.reshape((dy.shape[0], *self.input_shape))
