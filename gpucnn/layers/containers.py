"""What the containers share: they hold layers, name them by their place, and seed each its own."""

from collections.abc import Iterable, Sequence
from typing import Any

from gpucnn.errors import ConfigError
from gpucnn.layers.base import Layer


class Container(Layer):
    """A layer made of layers; `frozen` reaches all inside, `lr_scale` multiplies theirs.

    A container that no other holds is the model: its layers' paths begin with "model".
    """

    def _place(self) -> str:
        """Where the lists of layers inside hang: "model", "model.layers.3.concat"."""
        return f"{self.path}.{self.kind}" if self.path else "model"


def layer_list(name: str, layers: Any) -> list[Layer]:
    """`layers` as a list; ConfigError where it holds anything but layers."""
    if isinstance(layers, (Layer, str)) or not isinstance(layers, Iterable):
        raise ConfigError(f"{name} must be a list of layers, got {layers!r}")
    checked = list(layers)
    for i, layer in enumerate(checked):
        if not isinstance(layer, Layer):
            raise ConfigError(f"{name}[{i}] must be a layer, got {layer!r}")
    return checked


def check_distinct(layers: Sequence[Layer]) -> None:
    """ConfigError where one layer object stands in two places: it saves one forward only."""
    seen: set[int] = set()
    for layer in (inner for outer in layers for inner in outer.walk()):
        if id(layer) in seen:
            raise ConfigError(
                f"one {layer.name} layer object is used twice: make a new layer for each place"
            )
        seen.add(id(layer))
