"""What every layer is: parameters, a strict life cycle, and what the tables need to know of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from gpucnn.errors import GpucnnError, ShapeError
from gpucnn.ops.base import Array, Ops

Shape = tuple[int, ...]


class Parameter:
    """A trainable tensor and its gradient.

    `value` and, once a backward pass ran, `grad` are device arrays of one shape. An optimizer may
    move both into its flat arenas with `bind`; they stay views of these from then on.
    """

    def __init__(self, name: str, value: Array, *, lr_scale: float = 1.0, frozen: bool = False):
        self.name = name
        self.value = value
        self.lr_scale = lr_scale
        self.frozen = frozen
        self.grad: Array | None = None
        self._grad_view: Array | None = None

    def bind(self, value_view: Array, grad_view: Array) -> None:
        """Move value and gradient into views of the parameter's shape, the value copied in."""
        value_view[...] = self.value
        self.value = value_view
        self.grad = self._grad_view = grad_view

    def set_grad(self, grad: Array) -> None:
        """Overwrite the gradient."""
        if self._grad_view is None:
            self.grad = grad
        else:
            self._grad_view[...] = grad


class Layer(ABC):
    """A function of one array with a gradient.

    Life cycle: `build` once; then `forward`, and `backward` after each `forward(train=True)`.
    Subclasses implement `_build`, `_forward` and `_backward`, and may override `parameters`,
    `buffers`, `children`, `macs` and `window`. Shapes exclude the batch axis N.
    """

    def __init__(self, *, name: str | None = None, lr_scale: float = 1.0, frozen: bool = False):
        self.name = name or type(self).__name__
        self.lr_scale = lr_scale
        self.frozen = frozen
        self.strict = True
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self._ops: Ops | None = None
        self._saved: Any = None
        self._has_saved = False

    @property
    def ops(self) -> Ops:
        """The device this layer was built for."""
        if self._ops is None:
            raise GpucnnError(f"{self.name} is not built: call build(input_shape, ops, seed) first")
        return self._ops

    def build(
        self, input_shape: Sequence[int], ops: Ops, seed: int, *, dtype: str = "float32"
    ) -> Shape:
        """Create the parameters for inputs of `input_shape` and return the output's shape.

        Weights are drawn on the host from `seed`, so every device starts from the same bits.
        Raises ShapeError where the input does not fit or, in a strict layer, a window does not
        tile it.
        """
        self.input_shape = tuple(input_shape)
        self._ops = ops
        self._saved, self._has_saved = None, False
        self.output_shape = self._build(self.input_shape, ops, seed, dtype)
        return self.output_shape

    def forward(self, x: Array, *, train: bool) -> Array:
        """Return the layer's output for x (N, *input_shape); with `train`, save for backward."""
        ops = self.ops
        if not ops.is_array(x):
            raise ops.not_an_array("x", x)
        if x.shape[1:] != self.input_shape or x.ndim != len(self.input_shape) + 1:
            raise ShapeError(
                f"{self.name} was built for inputs (N, {', '.join(map(str, self.input_shape))}),"
                f" got x of shape {x.shape}"
            )
        y, saved = self._forward(x, train)
        if train:
            self._saved, self._has_saved = saved, True
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx for the last training forward and overwrite the parameters' gradients.

        What forward saved is let go, so a second backward is an error.
        """
        if not self._has_saved:
            raise GpucnnError(
                f"{self.name}.backward needs a forward(x, train=True) before it, one for each call"
            )
        saved, self._saved, self._has_saved = self._saved, None, False
        return self._backward(dy, saved)

    def parameters(self) -> list[Parameter]:
        """The trainable tensors, in a fixed order; of a container, its children's as well."""
        return [p for child in self.children() for p in child.parameters()]

    def buffers(self) -> dict[str, Array]:
        """Tensors that decide the future but are not trained, by name (running statistics)."""
        return {}

    def children(self) -> "list[Layer]":
        """The layers inside this one, in order of execution."""
        return []

    def walk(self) -> "Iterator[Layer]":
        """This layer and all layers inside it, outermost first."""
        yield self
        for child in self.children():
            yield from child.walk()

    def state(self) -> dict[str, Array]:
        """All tensors of this layer by a name unique inside it: parameters, then buffers.

        In a container, the names of child i begin with "i.".
        """
        tensors = {p.name: p.value for p in self._own_parameters()} | self.buffers()
        for i, child in enumerate(self.children()):
            tensors |= {f"{i}.{key}": value for key, value in child.state().items()}
        return tensors

    def set_step(self, step: int) -> None:
        """Tell the layers that draw by training step (dropout) which step comes next."""
        for child in self.children():
            child.set_step(step)

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass, children included."""
        return sum(child.macs() for child in self.children())

    def window(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """((extent h, w), (stride h, w)) for layers that look at a neighbourhood, else None."""
        return None

    def _own_parameters(self) -> list[Parameter]:
        return [] if self.children() else self.parameters()

    @abstractmethod
    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape: ...

    @abstractmethod
    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        """Return y and what backward needs; in evaluation the latter is dropped."""

    @abstractmethod
    def _backward(self, dy: Array, saved: Any) -> Array: ...
