"""A body and a shortcut, added."""

from collections.abc import Sequence
from typing import Any

from gpucnn.draws import derive
from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.batch_norm2d import BatchNorm2d
from gpucnn.layers.containers import Container, check_distinct, layer_list
from gpucnn.layers.conv2d import Conv2d
from gpucnn.layers.fusion import ALONE
from gpucnn.layers.sequential import Chain
from gpucnn.ops.base import Array, Ops


class Residual(Container):
    """y = body(x) + shortcut(x), no activation after (He et al., 2015).

    An empty shortcut is the identity. Both must give one shape, else build raises a ShapeError
    that names them.
    """

    fusion = ALONE

    def __init__(
        self,
        body: Sequence[Layer],
        *,
        shortcut: Sequence[Layer] = (),
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.body = Chain(layer_list("body", body), name="body")
        self.shortcut = Chain(layer_list("shortcut", shortcut), name="shortcut")
        if not self.body.layers:
            raise ConfigError("body must hold at least one layer, got none")
        check_distinct(self.children())

    def children(self) -> list[Layer]:
        return [self.body, self.shortcut]

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        shapes = []
        for path in (self.body, self.shortcut):
            path.path = f"{self._place()}.{path.name}"
            shapes.append(path.build(input_shape, ops, derive(seed, path.name), dtype=dtype))
        body, shortcut = shapes
        if body != shortcut:
            raise ShapeError(
                f"{self.label}: the body gives {body}, the shortcut {shortcut}: they must agree."
                f" {_remedy(input_shape, body)}"
            )
        return body

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        tail = self.tail if self.fusion.tail else None
        if tail is not None:
            tail.residual = self.shortcut.forward(x, train=train)
            return self.body.forward(x, train=train), None
        body = self.body.forward(x, train=train)
        shortcut = self.shortcut.forward(x, train=train)
        return self.ops.add(body, shortcut, activation=self.fusion.activation), None

    def _backward(self, dy: Array, saved: Any) -> Array:
        tail = self.tail if self.fusion.tail else None
        head = self.head if self.fusion.head else None

        def given() -> Array:
            """What the shortcut's backward begins with, once the body's has passed its tail."""
            return tail.take_gradient() if isinstance(tail, BatchNorm2d) else dy

        if head is None:
            body = self.body.backward(dy)
            return self.ops.add(body, self.shortcut.backward(given()))
        if not self.shortcut.layers:
            head.dx_residual = given
            return self.shortcut.backward(self.body.backward(dy))
        body = self.body.backward(dy)
        head.dx_residual = lambda: body
        return self.shortcut.backward(given())

    @property
    def tail(self) -> BatchNorm2d | Conv2d | None:
        """The layer that the body ends in, if it can add the shortcut."""
        last = self.body.layers[-1]
        return last if isinstance(last, BatchNorm2d | Conv2d) else None

    @property
    def head(self) -> Conv2d | None:
        """The conv2d whose dx is the last of the two to be made, if it is one."""
        first = (self.shortcut.layers or self.body.layers)[0]
        return first if isinstance(first, Conv2d) else None


def _remedy(source: Shape, target: Shape) -> str:
    """A shortcut that turns images of `source` into those of `target`."""
    if len(source) == len(target) == 3:
        (_, h, w), (k, p, q) = source, target
        stride = [-(-h // p), -(-w // q)]
        if (p, q) == (-(-h // stride[0]), -(-w // stride[1])):
            return (
                f"A shortcut that fits: `conv2d: {{filters: {k}, kernel_size: 1, stride:"
                f" {stride}, padding: same}}`"
            )
    return "Give the shortcut a conv2d (for vectors, a linear) with that output, or pad the body"
