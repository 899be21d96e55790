"""A kernel laid on a matrix, place after place: the products, the sums and the frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpucnn.explain.steps import Cell, Matrix, factor, number


@dataclass(frozen=True, eq=False)
class Sliding:
    """`kernel` moved over `image` by `step` (down, right); `inserted` cells of both are left out.

    `spread` is how far apart the kernel's own cells lie (dilation).
    """

    image: Matrix
    kernel: Matrix
    step: Cell = (1, 1)
    spread: Cell = (1, 1)

    def cells(self, place: Cell) -> Iterator[tuple[Cell, Cell]]:
        """(image cell, kernel cell) of one place, in reading order; no inserted kernel cell."""
        for m, n in np.ndindex(*self.kernel.shape):
            if (m, n) not in self.kernel.inserted:
                row = place[0] * self.step[0] + m * self.spread[0]
                yield (row, place[1] * self.step[1] + n * self.spread[1]), (m, n)

    def line(self, name: str, place: Cell, value: float) -> str:
        """Name[place] = product + … = value. Products with an inserted zero are not written."""
        terms = [
            f"{number(self.image.values[cell])}·{factor(self.kernel.values[tap])}"
            for cell, tap in self.cells(place)
            if cell not in self.image.inserted
        ]
        total = sum(self.image.values[c] * self.kernel.values[t] for c, t in self.cells(place))
        if total != value:
            raise ArithmeticError(f"{name}{list(place)}: the sum is {total}, the result {value}")
        products = " + ".join(terms) if terms else "only zeros that were put in"
        return f"{name}[{place[0]},{place[1]}] = {products} = {number(value)}"

    def frame(self, name: str, place: Cell, value: float | None = None) -> Matrix:
        """The image with the window of one place marked, and the kernel's numbers in it."""
        pairs = list(self.cells(place))
        caption = name if value is None else f"{name}[{place[0]},{place[1]}] = {number(value)}"
        return Matrix(
            caption,
            self.image.values,
            self.image.role,
            marked=frozenset(cell for cell, _ in pairs),
            inserted=self.image.inserted,
            notes={cell: f"×{number(self.kernel.values[tap])}" for cell, tap in pairs},
        )


def put_in(kept: np.ndarray) -> frozenset[Cell]:
    """The cells where a mask of what was there before is 0: zeros that were put in."""
    return frozenset((int(i), int(j)) for i, j in np.argwhere(kept == 0))
