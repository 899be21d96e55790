"""What a layer does for its neighbours (neighbours.py decides)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fusion:
    """What a layer does for its neighbours, or leaves to them; by itself, nothing."""

    relu: bool = False
    """conv2d, batch_norm2d, residual: forward ends in the ReLU of the layer behind this one.

    Backward of batch_norm2d, and of a residual with `tail`, begins with that ReLU's as well.
    """
    relu_input: bool = False
    """max_pool2d: backward ends in that of the ReLU before this layer."""
    tail: bool = False
    """residual: the batch_norm2d that its body ends in adds the shortcut."""
    no_forward: bool = False
    """relu: its forward is done already, x is y."""
    no_backward: bool = False
    """relu: its backward is done by a neighbour, dy is dx."""

    @property
    def activation(self) -> str | None:
        """What the operation of the layer's forward applies to its result."""
        return "relu" if self.relu else None


ALONE = Fusion()
