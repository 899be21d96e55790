"""Which layer first made a NaN or Inf."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from gpucnn.layers.base import Layer
from gpucnn.layers.neighbours import unfused
from gpucnn.ops.base import Array, Ops


def batch_name(number: int, indices: Any) -> str:
    """A batch by its number, counted from 1, and its images' places in the data set."""
    shown = ", ".join(str(int(i)) for i in indices[:16])
    more = f" and {len(indices) - 16} more" if len(indices) > 16 else ""
    return f"batch {number + 1} (images {shown}{more})"


def find_non_finite(model: Layer, ops: Ops, x: Array, *, train: bool) -> str:
    """Say where x or the first layer's output that is not finite lies, else which gradient.

    Runs the forward pass again, so in training the layers must still be at the same step, and the
    gradients those of x.
    """
    if not _finite(ops, x):
        return "the input batch itself is not finite: check the data and its normalization"
    gradient = _first_gradient(model, ops) if train else None
    found: list[str] = []
    with ExitStack() as stack:
        # Fused, a ReLU may hide an output of -inf.
        stack.enter_context(unfused(model))
        for layer in model.walk():
            # Containers too: a residual's sum may overflow where none of its layers did. What is
            # inside a container returns before it, so the first found is the innermost.
            stack.enter_context(_watched(layer, ops, found))
        model.forward(x, train=train)
    if found:
        return f"{found[0]} is the first with an output that is not finite"
    if gradient is not None:
        return f"all outputs are finite, the gradient of {gradient} is not"
    return "all outputs and gradients are finite, the loss is not"


def _finite(ops: Ops, a: Array) -> bool:
    return bool(ops.to_numpy(ops.all_finite(a)))


@contextmanager
def _watched(layer: Layer, ops: Ops, found: list[str]) -> Iterator[None]:
    """Inside, the layer's forward adds its label to `found` if its output is not finite."""
    forward = layer.forward

    def watching(x: Array, *, train: bool) -> Array:
        y = forward(x, train=train)
        if not _finite(ops, y):
            found.append(layer.label)
        return y

    vars(layer)["forward"] = watching
    try:
        yield
    finally:
        del vars(layer)["forward"]


def _first_gradient(model: Layer, ops: Ops) -> str | None:
    """The parameter nearest the output, where backward starts, whose gradient is not finite."""
    for layer in reversed([layer for layer in model.walk() if not layer.children()]):
        for p in layer.parameters():
            if p.grad is not None and not _finite(ops, p.grad):
                return f"{layer.label}, {p.name}"
    return None
