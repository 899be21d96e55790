"""Layers one after the other; a model is one of these."""

from collections.abc import Sequence
from typing import Any

from gpucnn.draws import derive
from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.containers import Container, check_distinct, layer_list
from gpucnn.ops.base import Array, Ops


@implements("C10", "A26", "E13", "E19")
class Sequential(Container):
    """y = f_n(…f_2(f_1(x))); without layers, y = x."""

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.layers = layer_list("layers", layers)
        check_distinct(self.layers)

    def children(self) -> list[Layer]:
        return list(self.layers)

    def _list_path(self) -> str:
        return f"{self._place()}.layers"

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        shape = input_shape
        for i, layer in enumerate(self.layers):
            layer.path = f"{self._list_path()}.{i}"
            shape = layer.build(shape, ops, derive(seed, "layer", i), dtype=dtype)
        return shape

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        for layer in self.layers:
            x = layer.forward(x, train=train)
        return x, None

    def _backward(self, dy: Array, saved: Any) -> Array:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Chain(Sequential):
    """One path of a residual or concat: its own path is that of the list."""

    def _list_path(self) -> str:
        return self.path
