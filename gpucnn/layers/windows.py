"""Windows over images: 'same' padding, and the strict size rule of convolutions and pools.

S4: the output size (W - F + 2P)/S + 1 must be a whole number; where it is not, the settings are
wrong and must be set again. The error lists nearby settings that work.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import choice
from gpucnn.ops.shapes import Padding, Pool2dShape, padding_pairs, window_extent

ROUNDINGS = ("strict", "floor")
AXES = ("height", "width")


def check_rounding(value: Any) -> str | None:
    """`value` if it is a rounding, or None for the model's; ConfigError otherwise."""
    choice("rounding", value, (*ROUNDINGS, None))
    return None if value is None else str(value)


def check_padding(value: Any) -> str | Padding:
    """'same', 'valid' or ((top, bottom), (left, right)); ConfigError otherwise."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ConfigError(
                f"padding must be 'same', 'valid', an int, a pair (height, width) or"
                f" ((top, bottom), (left, right)), got {value!r}"
            )
        return value
    return padding_pairs(value)


def resolve_padding(
    padding: str | Padding,
    size: Sequence[int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Padding:
    """Padding in numbers for images of `size` (H, W).

    'same' gives ceil(H/stride) outputs; the odd row or column goes to the bottom or right (S3
    §2.3 and, for a stride, TensorFlow).
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        top, left = (_same(*axis) for axis in zip(size, kernel, stride, dilation, strict=True))
        return top, left
    return padding_pairs(padding)


@implements("A2")
def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + window_extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class WindowAxis:
    """A window along one axis; a pool's `stride` None means its kernel's size."""

    size: int
    kernel: int
    stride: int | None
    padding: tuple[int, int]
    dilation: int
    pool: bool

    @property
    def step(self) -> int:
        return self.stride or self.kernel

    @property
    def extent(self) -> int:
        return window_extent(self.kernel, self.dilation)

    @property
    def free(self) -> int:
        """Cells that the window can move by."""
        return self.size + sum(self.padding) - self.extent

    def tiles(self) -> bool:
        """Whether whole steps bring the window exactly to the (padded) end."""
        return self.free >= 0 and self.free % self.step == 0 and self._legal()

    def _legal(self) -> bool:
        if not self.pool:
            return True
        try:
            Pool2dShape.of(
                (1, 1, self.size, 1),
                kernel_size=(self.kernel, 1),
                stride=self.step,
                padding=(self.padding, (0, 0)),
                dilation=(self.dilation, 1),
            )
        except ShapeError:
            return False
        return True


@implements("A1")
def check_tiling(
    size: Sequence[int],
    kernel: tuple[int, int],
    stride: tuple[int, int] | None,
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
    *,
    pool: bool = False,
    can_pad: bool = True,
) -> None:
    """ShapeError naming axis, numbers and settings that work, where a window does not tile.

    `size` is (H, W); the settings must have passed Conv2dShape.of or Pool2dShape.of. A layer that
    takes no padding says so with `can_pad`.
    """
    strides = (None, None) if stride is None else stride
    axes = [
        WindowAxis(*axis, pool)
        for axis in zip(size, kernel, strides, padding, dilation, strict=True)
    ]
    faults = [
        f"the {name} does not tile: ({axis.size} - {axis.extent} + {sum(axis.padding)})/"
        f"{axis.step} + 1 = {axis.free / axis.step + 1:.6g} is not a whole number"
        for name, axis in zip(AXES, axes, strict=True)
        if axis.free % axis.step
    ]
    if faults:
        settings = ", ".join(f"`{setting}`" for setting in _working_settings(axes, can_pad))
        raise ShapeError(
            f"{'; '.join(faults)} ((size - extent + padding)/stride + 1). Settings that work,"
            f" each alone: {settings} (floor leaves the last cells out)"
        )


def _working_settings(axes: Sequence[WindowAxis], can_pad: bool) -> list[str]:
    """Single changes, as a config writes them, with which both axes tile; the nearest first."""

    def nearest(key: str, near: Callable[[WindowAxis], Iterable[WindowAxis]]) -> None:
        changed = [
            axis if axis.tiles() else next((a for a in near(axis) if a.tiles()), None)
            for axis in axes
        ]
        if None not in changed:
            setting = f"{key}: {_written(key, [a for a in changed if a is not None])}"
            if setting not in found:
                found.append(setting)

    found: list[str] = []
    # A pool of one cell would be no pool: its smallest kernel is 2.
    nearest("kernel_size", lambda a: _with(a, "kernel", range(a.kernel - 1, a.pool, -1)))
    nearest("kernel_size", lambda a: _with(a, "kernel", range(a.kernel + 1, _most(a) + 1)))
    nearest("stride", lambda a: _with(a, "stride", range(a.step - 1, 0, -1)))
    nearest("stride", lambda a: _with(a, "stride", range(a.step + 1, 2 * a.step + 1)))
    if can_pad and all(a.padding[0] == a.padding[1] for a in axes):
        nearest("padding", lambda a: _with(a, "padding", _symmetric(a)))
    if can_pad:
        nearest("padding", lambda a: _with(a, "padding", _trailing(a)))
    return [*found, "rounding: floor"]


def _most(axis: WindowAxis) -> int:
    """The largest kernel that is still near: twice as large, or a step more."""
    return axis.kernel + max(axis.kernel, axis.step)


def _with(axis: WindowAxis, field: str, values: Iterable[Any]) -> Iterable[WindowAxis]:
    return (replace(axis, **{field: value}) for value in values)


def _symmetric(axis: WindowAxis) -> Iterable[tuple[int, int]]:
    pad = axis.padding[0]
    sides = sorted(range(max(pad - axis.step, 0), pad + axis.step), key=lambda p: abs(p - pad))
    return ((side, side) for side in sides)


def _trailing(axis: WindowAxis) -> Iterable[tuple[int, int]]:
    before, after = axis.padding
    over = axis.free % axis.step
    for end in (after + axis.step - over, after - over):
        if end >= 0:
            yield before, end


def _written(key: str, axes: Sequence[WindowAxis]) -> str:
    if key == "padding":
        if any(a.padding[0] != a.padding[1] for a in axes):
            return str([list(a.padding) for a in axes])
        values = [a.padding[0] for a in axes]
    else:
        values = [a.kernel if key == "kernel_size" else a.step for a in axes]
    return str(values[0] if values[0] == values[1] else values)


def check_groups(groups: int, channels: int, filters: int) -> None:
    """ShapeError where `groups` does not divide the input's channels and the filters."""
    if channels % groups or filters % groups:
        raise ShapeError(
            f"groups={groups} must divide the input's channels ({channels}) and filters ({filters})"
        )
