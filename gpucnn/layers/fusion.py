"""What a layer does for its neighbours (neighbours.py decides)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fusion:
    """What a layer does for its neighbours, or leaves to them; by itself, nothing."""

    relu: bool = False
    """conv2d, linear, batch_norm2d, residual: forward ends in the ReLU of the layer behind it."""
    cut: bool = False
    """batch_norm2d: backward begins with that of the ReLU that forward ends in."""
    relu_input: bool = False
    """conv2d, linear, max_pool2d: backward ends in that of the ReLU before this layer.

    A residual's, if it has a `head`, is that layer's.
    """
    tail: bool = False
    """residual: the batch_norm2d or conv2d that its body ends in adds the shortcut."""
    head: bool = False
    """residual: the conv2d that its shortcut, or else its body, begins with adds both dx."""
    no_forward: bool = False
    """relu: its forward is done already, x is y."""
    no_backward: bool = False
    """relu: its backward is done by a neighbour, dy is dx."""

    @property
    def activation(self) -> str | None:
        """What the operation of the layer's forward applies to its result."""
        return "relu" if self.relu else None


ALONE = Fusion()
