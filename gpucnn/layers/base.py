"""What every layer is: parameters, a strict life cycle, and what the tables need to know of it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, ClassVar

from gpucnn.draws import check_seed
from gpucnn.errors import ConfigError, DeviceError, GpucnnError, ShapeError
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import FLOAT_DTYPES, choice, number
from gpucnn.runtime.memory import Memory

Shape = tuple[int, ...]
Window = tuple[tuple[int, int], tuple[float, float]]
"""(extent height, width), (stride height, width); a stride below 1 enlarges the image."""


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
        self._memory: Memory | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.value.shape)

    def bind(self, value_view: Array, grad_view: Array, memory: Memory) -> None:
        """Move value and gradient, copied, into views of the parameter's shape, in `memory`."""
        value_view[...] = self.value
        grad_view[...] = 0 if self.grad is None else self.grad
        self.value = value_view
        self.grad, self._memory = grad_view, memory

    def set_grad(self, grad: Array) -> None:
        """Overwrite the gradient."""
        if self._memory is None:
            self.grad = grad
        else:
            self._memory.copy(self.grad, grad)


class Layer(ABC):
    """A function of one array with a gradient.

    Life cycle: `build` once; then `forward`, and `backward` after each `forward(train=True)`.
    Subclasses implement `_build`, `_forward` and `_backward`, and may override `children`, `macs`
    and `window`. Shapes exclude the batch axis N.

    `kind` is the layer's name in a config, which is its class name in snake case; `path` is its
    place in the model ("model.layers.3"), set by the container that builds it. Where nothing
    needs dx, `needs_input_gradient = False` lets conv2d and linear return None for it.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.kind = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, *, name: str | None = None, lr_scale: float = 1.0, frozen: bool = False):
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigError(f"name must be a string that is not empty, got {name!r}")
        self.name = name or self.kind
        self.lr_scale = number("lr_scale", lr_scale, 0, open_high=True)
        self.frozen = flag("frozen", frozen)
        self.strict = True
        self.needs_input_gradient = True
        self.path = ""
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.dtype = ""
        self._ops: Ops | None = None
        self._parameters: list[Parameter] = []
        self._buffers: dict[str, Array] = {}
        self._saved: Any = None
        self._saved_batch: int | None = None

    @property
    def ops(self) -> Ops:
        """The device this layer was built for."""
        if self._ops is None:
            raise GpucnnError(f"{self.label}: not built, call build(input_shape, ops, seed) first")
        return self._ops

    @property
    def label(self) -> str:
        """How messages call this layer: its path, if a container holds it, and its name."""
        return f"{self.path} {self.name}".lstrip()

    def build(
        self, input_shape: Sequence[int], ops: Ops, seed: int, *, dtype: str = "float32"
    ) -> Shape:
        """Create the parameters for inputs of `input_shape` and return the output's shape.

        Weights are drawn on the host from `seed`, so every device starts from the same bits.
        Raises ShapeError where the input does not fit or, in a strict layer, a window does not
        tile it; ConfigError for seed and dtype.
        """
        check_seed(seed)
        choice("dtype", dtype, FLOAT_DTYPES)
        self._ops = None
        self._parameters, self._buffers = [], {}
        self._saved = self._saved_batch = None
        self.dtype = dtype
        try:
            self.input_shape = _sizes(input_shape)
            self.output_shape = self._build(self.input_shape, ops, seed, dtype)
        except GpucnnError as error:
            raise self._labelled(error) from None
        self._ops = ops
        # Each container does this as well, so scales multiply and frozen reaches all inside.
        for parameter in self.parameters():
            parameter.lr_scale *= self.lr_scale
            parameter.frozen |= self.frozen
        return self.output_shape

    def forward(self, x: Array, *, train: bool) -> Array:
        """Return the layer's output for x (N, *input_shape); with `train`, save for backward.

        Takes this device's arrays, and other libraries' (PyTorch's, JAX's) that lie on it: DLPack.
        Raises DeviceError for an array of another device, dtype or layout, ShapeError for sizes.
        """
        x = self.ops.from_dlpack(x)
        self._check("x", x, self.input_shape)
        try:
            y, saved = self._forward(x, train)
        except GpucnnError as error:
            raise self._labelled(error) from None
        if train:
            self._saved, self._saved_batch = saved, x.shape[0]
        return y

    def backward(self, dy: Array) -> Array:
        """Return dx for the last training forward and overwrite the parameters' gradients.

        What forward saved is let go, so a second backward is an error.
        """
        if self._saved_batch is None:
            raise GpucnnError(
                f"{self.label}: backward needs a forward(x, train=True) before it, one for each"
                f" call"
            )
        dy = self.ops.from_dlpack(dy)
        self._check("dy", dy, self.output_shape, batch=self._saved_batch)
        saved, self._saved, self._saved_batch = self._saved, None, None
        return self._backward(dy, saved)

    def parameters(self) -> list[Parameter]:
        """The trainable tensors, in a fixed order; of a container, its children's as well.

        Raises GpucnnError before build, when there are none yet.
        """
        if self._ops is None:
            raise GpucnnError(f"{self.label}: no parameters before build(input_shape, ops, seed)")
        return self._parameters + [p for child in self.children() for p in child.parameters()]

    def buffers(self) -> dict[str, Array]:
        """Tensors that decide the future but are not trained, by name (running statistics)."""
        return dict(self._buffers)

    def children(self) -> "list[Layer]":
        """The layers inside this one: a sequential's in order, a residual's and concat's paths."""
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
        tensors = {p.name: p.value for p in self._parameters} | self.buffers()
        for i, child in enumerate(self.children()):
            tensors |= {f"{i}.{key}": value for key, value in child.state().items()}
        return tensors

    def set_step(self, step: int | Array) -> None:
        """Tell the layers that draw by training step (dropout) which step comes next."""
        for child in self.children():
            child.set_step(step)

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass, children included."""
        return sum(child.macs() for child in self.children())

    def window(self) -> Window | None:
        """Extent (dilation included) and stride of layers that look at a neighbourhood, or None."""
        return None

    def _add_parameter(self, name: str, value: Array) -> Parameter:
        parameter = Parameter(name, value)
        self._parameters.append(parameter)
        return parameter

    def _labelled(self, error: GpucnnError) -> GpucnnError:
        """`error` with this layer's label; in a container it has that of the layer at fault."""
        return error if self.children() else type(error)(f"{self.label}: {error}")

    def _check(self, name: str, a: Any, shape: Shape, *, batch: int | None = None) -> None:
        ops = self.ops
        if not ops.is_array(a):
            raise DeviceError(f"{self.label}: {ops.not_an_array(name, a)}")
        if a.ndim != len(shape) + 1 or a.shape[1:] != shape or batch not in (None, a.shape[0]):
            wanted = ", ".join(map(str, ("N" if batch is None else batch, *shape)))
            raise ShapeError(
                f"{self.label}: {name} must have shape ({wanted}), as the layer was built"
                f"{'' if batch is None else ' and last run'}, got {a.shape}"
            )
        if a.dtype.name != self.dtype:
            raise DeviceError(
                f"{self.label}: {name} must be {self.dtype}, as the layer was built, got"
                f" {a.dtype.name}: convert it with ops.asarray({name}, {self.dtype!r}) or build"
                f" with dtype={a.dtype.name!r}"
            )
        if not a.flags.c_contiguous:
            raise DeviceError(
                f"{self.label}: {name} of shape {a.shape} must be C-contiguous, got strides"
                f" {a.strides}: copy it with ops.asarray({name})"
            )

    @abstractmethod
    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape: ...

    @abstractmethod
    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        """Return y and what backward needs; in evaluation the latter is dropped."""

    @abstractmethod
    def _backward(self, dy: Array, saved: Any) -> Array: ...


def flag(name: str, value: Any) -> bool:
    """`value` if it is True or False; ConfigError otherwise."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
    return value


def image_shape(input_shape: Shape) -> tuple[int, int, int]:
    """`input_shape` as (C, H, W); ShapeError where it has another rank."""
    if len(input_shape) != 3:
        raise ShapeError(f"the input must be images (C, H, W), got shape {input_shape}")
    return input_shape[0], input_shape[1], input_shape[2]


def _sizes(input_shape: Sequence[int]) -> Shape:
    shape = tuple(input_shape)
    if not shape or not all(isinstance(size, int) and size >= 1 for size in shape):
        raise ShapeError(
            f"input_shape must hold one or more whole sizes of at least 1, without N, got {shape}"
        )
    return shape
