"""A built model as rows of a table: shapes, parameters, work, memory and what each output sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from gpucnn.implements import implements
from gpucnn.layers import Concat, Flatten, Layer, Residual, Sequential

Pair = tuple[float, float]
FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Field:
    """The input pixels that one cell depends on, and the step from one cell's field to the next.

    (height, width) each, after Araujo et al., "Computing Receptive Fields of Convolutional Neural
    Networks" (2019). A transposed convolution divides the step.
    """

    size: Pair
    jump: Pair

    @implements("A25")
    def through(self, layer: Layer) -> "Field":
        """The field of the layer's output cells, if this is that of its input cells."""
        window = layer.window()
        if window is None:
            return self
        (high, wide), (down, right) = window
        size = (
            self.size[0] + (high - 1) * self.jump[0],
            self.size[1] + (wide - 1) * self.jump[1],
        )
        jump = self.jump[0] * down, self.jump[1] * right
        return Field(size, jump)


@dataclass(frozen=True)
class Row:
    """One layer. `path` is its key in the config, e.g. "model.layers.3.residual.body.0".

    A container's row (`leaf` False) sums up parameters and MACs of the rows inside it. `values` are
    the numbers in the output of one image, 0 where a layer hands on its input or its content's
    output (flatten, sequential). `field` is None once no image is left: after flatten or global
    pooling every value may depend on every pixel.
    """

    path: str
    kind: str
    name: str
    leaf: bool
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    values: int
    field: Field | None

    def activation_bytes(self, batch_size: int) -> int:
        """Memory of the output for one batch of float32."""
        return batch_size * self.values * FLOAT32_BYTES


@implements("N1", "N2", "N3", "E12")
def summarize(model: Sequential) -> list[Row]:
    """A row for each layer inside a built model, a container's before those of its contents."""
    start = Field((1, 1), (1, 1)) if len(model.input_shape) == 3 else None
    return _chain(model, start)[0]


def _chain(chain: Sequential, field: Field | None) -> tuple[list[Row], Field | None]:
    """The rows of layers that follow each other, and the field behind the last one."""
    rows: list[Row] = []
    for layer in chain.layers:
        inner = [_chain(branch, field) for branch in _branches(layer)]
        if inner:
            field = _widest([end for _, end in inner])
        elif field is not None:
            field = field.through(layer)
        if len(layer.output_shape) != 3:
            field = None
        rows.append(
            Row(
                path=layer.path,
                kind=layer.kind,
                name=layer.name,
                leaf=not inner,
                output_shape=layer.output_shape,
                parameters=sum(p.size for p in layer.parameters()),
                macs=layer.macs(),
                values=0 if isinstance(layer, (Flatten, Sequential)) else prod(layer.output_shape),
                field=field,
            )
        )
        rows += [row for branch_rows, _ in inner for row in branch_rows]
    return rows, field


def _branches(layer: Layer) -> Sequence[Sequential]:
    """The chains inside a container; none for any other layer."""
    if isinstance(layer, Sequential):
        return [layer]
    if isinstance(layer, Residual):
        return [layer.body, layer.shortcut]
    return layer.branches if isinstance(layer, Concat) else []


def _widest(fields: Sequence[Field | None]) -> Field | None:
    """The field of joined branches: their outputs have one size, so their jumps agree."""
    known = [field for field in fields if field is not None]
    if not known:
        return None
    size = max(f.size[0] for f in known), max(f.size[1] for f in known)
    return Field(size, known[0].jump)
