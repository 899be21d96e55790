"""Windows along height and width: whether they fit and tile, and if not, what would.

S4: the output size (W - F + 2P)/S + 1 must be a whole number, else the settings are wrong.
"""

from dataclasses import dataclass, replace
from typing import Any

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.explain.settings import Padding, Pair
from gpucnn.reference.sizes import same_padding

# Beyond this, matrices don't fit side by side into a terminal or a page.
MOST_SIDE = 12
NAMES = ("height", "width")


@dataclass(frozen=True)
class Axis:
    """A window of `kernel` taps along one side of the input.

    A `pool` may not have windows in the padding alone; `tied` to its kernel is a stride that the
    user has not given.
    """

    size: int
    kernel: int
    stride: int
    padding: Pair
    dilation: int
    pool: bool = False
    tied: bool = False

    @property
    def padded(self) -> int:
        return self.size + sum(self.padding)

    @property
    def extent(self) -> int:
        """The cells from the window's first to its last tap."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def free(self) -> int:
        return self.padded - self.extent

    @property
    def outputs(self) -> int:
        return self.free // self.stride + 1

    @property
    def left_over(self) -> int:
        """Trailing cells that no window reaches."""
        return self.free % self.stride

    @property
    def longest(self) -> int:
        """The longest side that is drawn: the padded input, or δ dilated and padded."""
        return max(self.padded, (self.outputs - 1) * self.stride + 2 * self.extent - 1)

    def works(self, most: int) -> bool:
        """Whether whole windows fill this side, and it can be drawn."""
        return not self.fault("", floor=False) and self.longest <= most

    def fault(self, name: str, floor: bool) -> str:
        """What is wrong with this side, or nothing."""
        total = sum(self.padding)
        if self.pool and max(self.padding) >= self.kernel:
            return (
                f"padding {max(self.padding)} along the {name} must be less than the window's"
                f" {self.kernel}, or a window sees nothing of the input"
            )
        if self.free < 0:
            return (
                f"a window of {self.extent} cells does not fit the {name} {self.size} with"
                f" padding {total} in all"
            )
        if self.left_over and not floor:
            outputs = self.free / self.stride + 1
            return (
                f"the {name} does not tile: ({self.size} - {self.extent} + {total})/{self.stride}"
                f" + 1 = {outputs:.6g} is not a whole number"
            )
        return ""

    def changed(self, option: str, by: int) -> "Axis | None":
        """This axis with one option changed; None where the option cannot take that value."""
        if option == "padding":
            before, after = self.padding[0] + by, self.padding[1] + by
            return replace(self, padding=(before, after)) if min(before, after) >= 0 else None
        value = getattr(self, option) + by
        changes: dict[str, Any] = {option: value}
        if option == "kernel" and self.tied:
            changes["stride"] = value
        return replace(self, **changes) if value >= 1 else None


@dataclass(frozen=True)
class Geometry:
    """Both axes, checked."""

    rows: Axis
    columns: Axis

    def pair(self, name: str) -> Any:
        """One attribute of both axes, (height, width)."""
        return getattr(self.rows, name), getattr(self.columns, name)

    @property
    def keywords(self) -> dict[str, Any]:
        """The settings as a convolution's arguments."""
        return {name: self.pair(name) for name in ("stride", "padding", "dilation")}


def geometry(
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Padding | str,
    dilation: Pair = (1, 1),
    *,
    floor: bool = False,
    options: tuple[str, ...] = ("kernel", "stride", "padding", "size", "rounding"),
    most: int = MOST_SIDE,
    pool: bool = False,
    tied: bool = False,
) -> Geometry:
    """The checked geometry; `options` are those that the case takes, for the remedies,
    `most` the longest side that is drawn; `pool` and `tied` are Axis's.

    Raises ShapeError where a window does not fit, does not tile (unless `floor`), or a matrix
    would be too large to draw.
    """
    if isinstance(padding, str):
        if stride != (1, 1) or dilation != (1, 1):
            raise ConfigError("--padding same needs stride 1 and dilation 1: give it in numbers")
        padding = same_padding(kernel)
    axes = [
        Axis(*axis, pool, tied)
        for axis in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    faults = [axis.fault(name, floor) for name, axis in zip(NAMES, axes, strict=True)]
    if any(faults):
        remedies = ", ".join(_nearby(axes, options, most)) or "none near these; try a larger --size"
        raise ShapeError(f"{'; '.join(filter(None, faults))}. Each alone would work: {remedies}")
    longest = max(axis.longest for axis in axes)
    if longest > most:
        raise ShapeError(
            f"a matrix would be {longest} cells along a side with --size {shown(size)} and --kernel"
            f" {shown(kernel)}, and explain draws at most {most}: choose a smaller size,"
            " kernel, stride, padding or dilation"
        )
    return Geometry(*axes)


def shown(pair: Pair) -> str:
    """A pair as an option takes it."""
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _nearby(axes: list[Axis], options: tuple[str, ...], most: int) -> list[str]:
    """The nearest value of each option that works."""
    found = []
    for option in ("kernel", "stride", "padding", "size"):
        for by in (-1, 1, -2, 2):
            near = [axis if axis.works(most) else axis.changed(option, by) for axis in axes]
            if option in options and all(axis is not None and axis.works(most) for axis in near):
                high, wide = (getattr(axis, option) for axis in near)
                pair = (high[0], wide[0]) if option == "padding" else (high, wide)
                found.append(f"--{option} {shown(pair)}")
                break
    floored = not any(axis.fault("", floor=True) or axis.longest > most for axis in axes)
    if "rounding" in options and floored:
        found.append("--rounding floor")
    return found
