"""Branches side by side, joined along the channels."""

from collections.abc import Sequence
from typing import Any

from gpucnn.draws import derive
from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers.base import Layer, Shape
from gpucnn.layers.containers import Container, check_distinct, layer_list
from gpucnn.layers.sequential import Chain
from gpucnn.ops.base import Array, Ops


class Concat(Container):
    """y = the branches' outputs joined along axis 1, the channels (or the features of vectors).

    An empty branch is the identity. Their other sizes must agree, else build raises a ShapeError
    that names all shapes.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[Layer]],
        *,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        if isinstance(branches, (str, Layer)) or not isinstance(branches, Sequence) or not branches:
            raise ConfigError(f"branches must be a list of lists of layers, got {branches!r}")
        self.branches = [
            Chain(layer_list(f"branches[{i}]", branch), name=f"branches.{i}")
            for i, branch in enumerate(branches)
        ]
        check_distinct(self.children())

    def children(self) -> list[Layer]:
        return list(self.branches)

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        shapes = []
        for i, branch in enumerate(self.branches):
            branch.path = f"{self._place()}.{branch.name}"
            shapes.append(branch.build(input_shape, ops, derive(seed, "branch", i), dtype=dtype))
        if any(shape[1:] != shapes[0][1:] for shape in shapes):
            raise ShapeError(
                f"{self.label}: the branches give {', '.join(map(str, shapes))}: all sizes but the"
                f" first must agree. Use padding: same or the same strides in each"
            )
        self._sizes = [shape[0] for shape in shapes]
        return (sum(self._sizes), *shapes[0][1:])

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        outputs = [branch.forward(x, train=train) for branch in self.branches]
        return self.ops.concat(outputs, axis=1), None

    def _backward(self, dy: Array, saved: Any) -> Array:
        pieces = self.ops.split(dy, self._sizes, axis=1)
        dx, *others = (
            branch.backward(piece) for branch, piece in zip(self.branches, pieces, strict=True)
        )
        for other in others:
            dx = self.ops.add(dx, other)
        return dx
