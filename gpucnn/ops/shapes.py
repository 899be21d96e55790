"""Shape arithmetic of convolutions and pools, in one place for all devices.

Notation of the field (cuDNN, CUTLASS): N C H W input, K filters of R by S, P by Q output.
Output sizes floor here, as everywhere in the field; the layers are strict (S4's rule).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements

INT32_ELEMENTS = 2**31 - 1
Padding = tuple[tuple[int, int], tuple[int, int]]


def integer(name: str, value: Any, *, minimum: int) -> int:
    """`value` as an int >= minimum; ConfigError naming the argument otherwise."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError:
        raise ConfigError(f"{name} must be an integer >= {minimum}, got {value!r}") from None
    if number < minimum:
        raise ConfigError(f"{name} must be >= {minimum}, got {value!r}")
    return number


def _sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def sizes(name: str, shape: Any, axes: str) -> tuple[int, ...]:
    """`shape` as a tuple of ints, one for each of `axes`; ShapeError otherwise."""
    try:
        result = tuple(index(size) for size in shape)
    except TypeError:
        raise ShapeError(f"{name} must be ({axes}) integers, got {shape!r}") from None
    if len(result) != axes.count(",") + 1 or min(result) < 0:
        raise ShapeError(f"{name} must be ({axes}), none negative, got shape {result}")
    return result


@implements("C3", "E30")
def pair(name: str, value: Any, *, minimum: int = 1) -> tuple[int, int]:
    """(height, width) from an int or a pair of ints that fit into int32."""
    if _sequence(value):
        if len(value) != 2:
            raise ConfigError(f"{name} must be an int or a pair (height, width), got {value!r}")
        return (
            int32(f"{name}[0] (height)", value[0], minimum=minimum),
            int32(f"{name}[1] (width)", value[1], minimum=minimum),
        )
    number = int32(name, value, minimum=minimum)
    return number, number


def int32(name: str, value: Any, *, minimum: int) -> int:
    """`value` as an int >= minimum that fits into int32; ConfigError otherwise."""
    number = integer(name, value, minimum=minimum)
    if number > INT32_ELEMENTS:
        raise ConfigError(f"{name} must fit into int32, got {value!r}")
    return number


def padding_pairs(value: Any) -> Padding:
    """((top, bottom), (left, right)) from an int, a pair (height, width) or both pairs."""
    if _sequence(value) and len(value) == 2 and all(_sequence(side) for side in value):
        (top, bottom), (left, right) = (
            pair(f"padding[{axis}]", side, minimum=0) for axis, side in enumerate(value)
        )
        return (top, bottom), (left, right)
    high, wide = pair("padding", value, minimum=0)
    return (high, high), (wide, wide)


def check_elements(name: str, shape: Sequence[int]) -> None:
    """Kernels index with int32: ShapeError where an array has more elements than that."""
    if prod(shape) > INT32_ELEMENTS:
        raise ShapeError(
            f"{name} of shape {tuple(shape)} has {prod(shape):,} elements, more than int32 can"
            f" index ({INT32_ELEMENTS:,}): use a smaller batch or image"
        )


def window_extent(kernel: int, dilation: int) -> int:
    """Input cells from a window's first to its last tap, both included."""
    return dilation * (kernel - 1) + 1


@implements("C9")
@dataclass(frozen=True)
class Conv2dShape:
    """One convolution's geometry. Build it with `Conv2dShape.of`, which checks everything."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    p: int
    q: int
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Any = 1,
    ) -> "Conv2dShape":
        """Geometry of `x` (N, C, H, W) convolved with `w` (K, C/groups, R, S).

        P = floor((H + top + bottom - dilation*(R-1) - 1) / stride) + 1, Q likewise (S4, output
        size). Raises ConfigError for stride, padding, dilation or groups, ShapeError for sizes.
        """
        n, c, h, w = x_shape = sizes("x", x_shape, "N, C, H, W")
        k, c_group, r, s = w_shape = sizes("w", w_shape, "K, C/groups, R, S")
        strides, dilations = pair("stride", stride), pair("dilation", dilation)
        pads, groups = padding_pairs(padding), integer("groups", groups, minimum=1)
        if min(c, h, w) < 1:
            raise ShapeError(f"x of shape {x_shape} needs C, H and W of at least 1")
        if min(k, c_group, r, s) < 1:
            raise ShapeError(f"w of shape {w_shape} needs sizes of at least 1")
        if c % groups or k % groups:
            raise ShapeError(
                f"groups={groups} must divide the channels of x (C={c}) and the filters (K={k})"
            )
        if c_group * groups != c:
            raise ShapeError(
                f"x has C={c} channels, but w of shape {w_shape} with groups={groups}"
                f" takes {c_group * groups}"
            )
        p = _convolved("height", h, r, strides[0], pads[0], dilations[0])
        q = _convolved("width", w, s, strides[1], pads[1], dilations[1])
        check_elements("x", x_shape)
        check_elements("w", w_shape)
        check_elements("y", (n, k, p, q))
        return cls(n, c, h, w, k, r, s, p, q, strides, pads, dilations, groups)

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.c, self.h, self.w

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        return self.k, self.c // self.groups, self.r, self.s

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.k, self.p, self.q

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass (each backward pass needs as many)."""
        return self.n * self.k * self.p * self.q * (self.c // self.groups) * self.r * self.s


def _convolved(
    axis: str, size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    extent = window_extent(kernel, dilation)
    padded = _padded(axis, size, padding)
    if extent > padded:
        raise ShapeError(
            f"a kernel of {kernel} with dilation {dilation} spans {extent} cells, more than the"
            f" {axis} {size} with padding {padding[0]}+{padding[1]} has ({padded})"
        )
    return (padded - extent) // stride + 1


def _padded(axis: str, size: int, padding: tuple[int, int]) -> int:
    padded = size + sum(padding)
    if padded > INT32_ELEMENTS:
        raise ShapeError(
            f"the {axis} {size} with padding {padding[0]}+{padding[1]} is more than int32 can index"
        )
    return padded


@implements("C9")
@dataclass(frozen=True)
class Pool2dShape:
    """One pool's geometry. Build it with `Pool2dShape.of`, which checks everything."""

    n: int
    c: int
    h: int
    w: int
    p: int
    q: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int]

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> "Pool2dShape":
        """Geometry of windows of `kernel_size` over `x` (N, C, H, W), as torch.nn.MaxPool2d.

        Each padding side may be up to dilation*(kernel-1), so that every window has a real cell.
        Raises ConfigError for the settings, ShapeError for sizes.
        """
        n, c, h, w = x_shape = sizes("x", x_shape, "N, C, H, W")
        if min(c, h, w) < 1:
            raise ShapeError(f"x of shape {x_shape} needs C, H and W of at least 1")
        kernel = pair("kernel_size", kernel_size)
        strides = kernel if stride is None else pair("stride", stride)
        dilations, pads = pair("dilation", dilation), padding_pairs(padding)
        p = _pooled("height", h, kernel[0], strides[0], pads[0], dilations[0], ceil_mode)
        q = _pooled("width", w, kernel[1], strides[1], pads[1], dilations[1], ceil_mode)
        check_elements("x", x_shape)
        check_elements("y", (n, c, p, q))
        return cls(n, c, h, w, p, q, kernel, strides, pads, dilations)

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.c, self.h, self.w

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.c, self.p, self.q

    @property
    def cells(self) -> int:
        """Cells of one window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def argmax_dtype(self) -> str:
        """uint8 where a place inside the window fits into it, else int32."""
        return "uint8" if self.cells <= 256 else "int32"


def _pooled(
    axis: str,
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    ceil_mode: bool,
) -> int:
    extent = window_extent(kernel, dilation)
    if max(padding) > extent - 1:
        raise ShapeError(
            f"padding {padding[0]}+{padding[1]} along the {axis} is more than a window of"
            f" {kernel} with dilation {dilation} can reach over: at most {extent - 1} a side"
        )
    free = _padded(axis, size, padding) - extent
    out = (free + (stride - 1 if ceil_mode else 0)) // stride + 1
    if out < 1:
        raise ShapeError(
            f"a window of {kernel} with dilation {dilation} spans {extent} cells, more than the"
            f" {axis} {size} with padding {padding[0]}+{padding[1]} has ({free + extent})"
        )
    # A last window may not begin in the trailing padding (as torch.nn.MaxPool2d). A floored
    # window with a stride over its extent cannot begin there: free >= 0 keeps it inside.
    if ceil_mode and (out - 1) * stride >= size + padding[0]:
        out -= 1
    # Dilated taps can step over a small input altogether; such a window has no maximum.
    for i in range(out if dilation > 1 else 0):
        first = i * stride - padding[0]
        if not any(0 <= first + tap * dilation < size for tap in range(kernel)):
            raise ShapeError(
                f"window {i} along the {axis} {size} (kernel {kernel}, dilation {dilation},"
                f" padding {padding[0]}+{padding[1]}) covers padding alone: reduce the padding"
            )
    return out
