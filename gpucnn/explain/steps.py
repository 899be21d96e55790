"""A walk as data: steps of named matrices, sums and words. The renderers know nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Cell = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A named matrix (rows, columns) and which of its cells mean what.

    `role` ("input", "kernel", "delta", "result", "plain", "sparse") is its colour in the picture.
    Cells `inserted` are zeros that were put in, or no elements of a sparse matrix; `marked` ones
    lie in the window or are its result; `chosen` ones won their window. `notes` are small words in
    a cell, in the picture alone.
    """

    name: str
    values: np.ndarray
    role: str = "plain"
    marked: frozenset[Cell] = frozenset()
    chosen: frozenset[Cell] = frozenset()
    inserted: frozenset[Cell] = frozenset()
    notes: Mapping[Cell, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.values.shape
        return rows, columns


# A line of matrices with the signs between them, such as (x, "⋆", w, "=", y).
Line = tuple[Matrix | str, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One step: what is done, why, the matrices, and every sum.

    `frames` show one thing many times, a window at each of its places. `source` names the
    documents' equations; `agrees` the operation that the result was compared with. Frames lie
    `across` beside each other, as their results do.
    """

    title: str
    text: str = ""
    source: str = ""
    lines: tuple[Line, ...] = ()
    frames: tuple[Matrix, ...] = ()
    across: int = 1
    sums: tuple[str, ...] = ()
    agrees: str = ""


@dataclass(frozen=True, eq=False)
class Walk:
    """A whole explanation."""

    case: str
    title: str
    steps: tuple[Step, ...]


def matrices(step: Step) -> list[Matrix]:
    """Everything that a step draws."""
    drawn = [part for line in step.lines for part in line if isinstance(part, Matrix)]
    return [*drawn, *step.frames]


def cells(pairs: Iterable[Iterable[int]]) -> frozenset[Cell]:
    """The cells of an iterable of (row, column) pairs, NumPy's or Python's."""
    return frozenset((int(row), int(column)) for row, column in pairs)


def matrix(name: str, values: Any, role: str = "plain", **kinds: Any) -> Matrix:
    """A Matrix; a vector becomes one row."""
    return Matrix(name, np.atleast_2d(np.asarray(values, np.float64)), role, **kinds)


def number(value: float) -> str:
    """A number as it is printed: at most 6 significant digits and 5 decimals."""
    return f"{round(float(value), 5) + 0.0:.6g}"


def factor(value: float) -> str:
    """A number inside a product: a negative one in parentheses."""
    return f"({number(value)})" if value < 0 else number(value)
