"""The windows of a pool: which cells of its input each output place sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gpucnn.errors import ShapeError
from gpucnn.reference.sizes import Pair, Sides, pair, sides


class Cell(NamedTuple):
    """`place` counts the window's cells in reading order; row and column are the input's."""

    place: int
    row: int
    column: int


@dataclass(frozen=True)
class Windows:
    """Windows over maps of H by W. All pairs are (height, width)."""

    size: Pair
    kernel: Pair
    stride: Pair
    padding: Sides

    @classmethod
    def over(
        cls, x_shape: Sequence[int], kernel_size: Any, stride: Any = None, padding: Any = 0
    ) -> "Windows":
        """Windows of `kernel_size` over x (N, C, H, W); `stride` None means the kernel's size.

        `padding` is an int, a pair or ((top, bottom), (left, right)). ShapeError where no window
        fits, also where one could lie in the padding alone.
        """
        if len(x_shape) != 4:
            raise ShapeError(f"x must be (N, C, H, W), got shape {tuple(x_shape)}")
        kernel = pair(kernel_size, "kernel_size")
        strides = kernel if stride is None else pair(stride, "stride")
        windows = cls((x_shape[2], x_shape[3]), kernel, strides, sides(padding))
        for axis, name in enumerate(("height", "width")):
            if max(windows.padding[axis]) >= kernel[axis]:
                raise ShapeError(
                    f"padding along the {name} must be less than the window's {kernel[axis]},"
                    f" got {windows.padding[axis]}: a window would see no cell of the input"
                )
            if windows.count(axis) < 1:
                raise ShapeError(
                    f"a window of {kernel[axis]} does not fit into the {name}"
                    f" {windows.size[axis]} with padding {windows.padding[axis]}"
                )
        return windows

    def count(self, axis: int) -> int:
        """P or Q: floor((W - F + 2P)/S) + 1 (S4); what is left over belongs to no window."""
        room = self.size[axis] + sum(self.padding[axis]) - self.kernel[axis]
        return room // self.stride[axis] + 1

    def y_shape(self, n: int, channels: int) -> tuple[int, int, int, int]:
        """(N, C, P, Q)."""
        return n, channels, self.count(0), self.count(1)

    def cells(self, p: int, q: int) -> list[Cell]:
        """The input's cells below window (p, q) in reading order; padding is left out."""
        found = []
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                row = p * self.stride[0] + i - self.padding[0][0]
                column = q * self.stride[1] + j - self.padding[1][0]
                if 0 <= row < self.size[0] and 0 <= column < self.size[1]:
                    found.append(Cell(i * self.kernel[1] + j, row, column))
        return found
