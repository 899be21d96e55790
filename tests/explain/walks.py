"""Walks by their name, and what they show."""

import re
from typing import Any

import numpy as np

from gpucnn.explain.cases import explain
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Matrix, Walk, matrices
from gpucnn.explain.text import plain


def walk(case: str, **options: Any) -> Walk:
    return explain(case, Settings(**options))


def shown(walk: Walk, name: str, place: int = -1) -> np.ndarray:
    """The values of the matrix of this name; of several, the last or the `place`th."""
    return drawn(walk, name)[place].values


def drawn(walk: Walk, name: str) -> list[Matrix]:
    return [part for step in walk.steps for part in matrices(step) if part.name == name]


def summed(walk: Walk, name: str, shape: tuple[int, int]) -> np.ndarray:
    """The results of the printed lines `name[i,j] = … = value`, read back from the text."""
    values = np.full(shape, np.nan)
    text = plain(walk).replace("\n          ", " ")
    for i, j, value in re.findall(rf"^{name}\[(\d+),(\d+)\] = .* = (\S+)$", text, re.MULTILINE):
        values[int(i), int(j)] = float(value)
    return values
