"""Activations, sums and joins."""

from abc import abstractmethod
from collections.abc import Sequence

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps, choice, number
from gpucnn.ops.shapes import check_elements, integer


def ends_in_relu(activation: str | None) -> bool:
    """Whether a method shall apply ReLU to its result; ConfigError where it is no activation."""
    choice("activation", activation, (None, "relu"))
    return activation == "relu"


class ElementwiseOps(ArrayOps):
    """Arrays of any shape, unless a method says otherwise."""

    @implements("A17", "S3:5.1")
    def relu_forward(self, x: Array) -> Array:
        """Return `x <= 0 ? 0 : x`, so that NaN passes (S3 §5)."""
        self._check("x", x)
        return self._relu_forward(x)

    @implements("A17", "S3:5.2", "S3:5.3")
    def relu_backward(self, dy: Array, x: Array) -> Array:
        """Return dx = dy where x > 0, else 0; at x = 0 it is 0 (S3 §5). NaN in x passes dy."""
        self._check_like("dy", dy, "x", x)
        return self._relu_backward(dy, x)

    def leaky_relu_forward(self, x: Array, *, negative_slope: float = 0.01) -> Array:
        """Return `x <= 0 ? negative_slope·x : x` (as torch.nn.LeakyReLU)."""
        self._check("x", x)
        slope = number("negative_slope", negative_slope, float("-inf"), open_high=True)
        return self._leaky_relu_forward(x, slope)

    def leaky_relu_backward(self, dy: Array, x: Array, *, negative_slope: float = 0.01) -> Array:
        """Return dx = dy where x > 0, else negative_slope·dy."""
        self._check_like("dy", dy, "x", x)
        slope = number("negative_slope", negative_slope, float("-inf"), open_high=True)
        return self._leaky_relu_backward(dy, x, slope)

    @implements("A18")
    def sigmoid_forward(self, x: Array) -> Array:
        """Return y = 1/(1 + e^-x), without overflow for any x (S3)."""
        self._check("x", x)
        return self._sigmoid_forward(x)

    @implements("A18")
    def sigmoid_backward(self, dy: Array, y: Array) -> Array:
        """Return dx = dy·y·(1 - y) from the forward's result."""
        self._check_like("dy", dy, "y", y)
        return self._sigmoid_backward(dy, y)

    def tanh_forward(self, x: Array) -> Array:
        """Return y = tanh(x)."""
        self._check("x", x)
        return self._tanh_forward(x)

    def tanh_backward(self, dy: Array, y: Array) -> Array:
        """Return dx = dy·(1 - y²) from the forward's result."""
        self._check_like("dy", dy, "y", y)
        return self._tanh_backward(dy, y)

    @implements("A19")
    def softmax_forward(self, x: Array) -> Array:
        """Return the softmax over the last axis, the maximum subtracted first (S0 §6)."""
        self._check_last_axis("x", x)
        return self._softmax_forward(x)

    @implements("E14")
    def softmax_backward(self, dy: Array, y: Array) -> Array:
        """Return dx = y·(dy - Σ dy·y) over the last axis (the full Jacobian; SEEDS E14)."""
        self._check_last_axis("y", y)
        self._check_like("dy", dy, "y", y)
        return self._softmax_backward(dy, y)

    def add(self, a: Array, b: Array, *, activation: str | None = None) -> Array:
        """Return a + b, of the same shape: no broadcasting. `activation="relu"`: ReLU of it."""
        self._check_like("a", a, "b", b)
        return self._add(a, b, ends_in_relu(activation))

    def concat(self, xs: Sequence[Array], *, axis: int) -> Array:
        """Return the arrays joined along `axis`; their other sizes must agree."""
        xs = list(xs)
        if not xs:
            raise ShapeError("concat needs at least one array, got none")
        for i, x in enumerate(xs):
            self._check(f"xs[{i}]", x, ndim=xs[0].ndim if i else None, dtype=_dtype(xs[0], i))
        axis = self._axis(axis, xs[0].ndim)
        rest = [x.shape[:axis] + x.shape[axis + 1 :] for x in xs]
        if any(other != rest[0] for other in rest):
            raise ShapeError(
                f"concat along axis {axis} needs equal sizes elsewhere, got shapes"
                f" {', '.join(str(x.shape) for x in xs)}"
            )
        joined = list(xs[0].shape)
        joined[axis] = sum(x.shape[axis] for x in xs)
        check_elements("the joined array", joined)
        return self._concat(xs, axis)

    def split(self, x: Array, sizes: Sequence[int], *, axis: int) -> list[Array]:
        """Return C-contiguous pieces of `x` of the given sizes along `axis`, in order."""
        self._check("x", x)
        axis = self._axis(axis, x.ndim)
        parts = [integer(f"sizes[{i}]", size, minimum=0) for i, size in enumerate(sizes)]
        if sum(parts) != x.shape[axis]:
            raise ShapeError(
                f"sizes {parts} add up to {sum(parts)}, but axis {axis} of x {x.shape} has"
                f" {x.shape[axis]}"
            )
        return self._split(x, parts, axis)

    def _check_like(self, name: str, a: Array, other_name: str, other: Array) -> None:
        self._check(other_name, other)
        self._check(name, a, shape=other.shape, dtype=other.dtype.name)

    def _check_last_axis(self, name: str, a: Array) -> None:
        self._check(name, a)
        if a.ndim == 0 or a.shape[-1] == 0:
            raise ShapeError(f"{name} needs a last axis of at least 1, got shape {a.shape}")

    @staticmethod
    def _axis(axis: int, ndim: int) -> int:
        place = integer("axis", axis, minimum=-ndim)
        if place >= ndim:
            raise ConfigError(f"axis must be from {-ndim} to {ndim - 1}, got {axis!r}")
        return place % ndim

    @abstractmethod
    def _relu_forward(self, x: Array) -> Array: ...

    @abstractmethod
    def _relu_backward(self, dy: Array, x: Array) -> Array: ...

    @abstractmethod
    def _leaky_relu_forward(self, x: Array, negative_slope: float) -> Array: ...

    @abstractmethod
    def _leaky_relu_backward(self, dy: Array, x: Array, negative_slope: float) -> Array: ...

    @abstractmethod
    def _sigmoid_forward(self, x: Array) -> Array: ...

    @abstractmethod
    def _sigmoid_backward(self, dy: Array, y: Array) -> Array: ...

    @abstractmethod
    def _tanh_forward(self, x: Array) -> Array: ...

    @abstractmethod
    def _tanh_backward(self, dy: Array, y: Array) -> Array: ...

    @abstractmethod
    def _softmax_forward(self, x: Array) -> Array: ...

    @abstractmethod
    def _softmax_backward(self, dy: Array, y: Array) -> Array: ...

    @abstractmethod
    def _add(self, a: Array, b: Array, relu: bool) -> Array: ...

    @abstractmethod
    def _concat(self, xs: Sequence[Array], axis: int) -> Array: ...

    @abstractmethod
    def _split(self, x: Array, sizes: Sequence[int], axis: int) -> list[Array]: ...


def _dtype(first: Array, i: int) -> str | None:
    return first.dtype.name if i else None
