"""Say which of the sources' rows and equations a piece of code implements.

`gpucnn equations` reads what this decorator leaves behind; nothing else depends on it.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def implements(*ids: str) -> Callable[[T], T]:
    """Mark a function or a class as the implementation of these ids of docs/seeds.yaml.

    An id is a row ("A7", "G4", "E1") or an equation of a source ("S3:2.21", "S2:BP4").
    Decorate the function itself, below @staticmethod, @property and the like.
    """
    if not ids or not all(isinstance(row, str) for row in ids):
        raise TypeError(f'implements takes ids as strings, as in @implements("A7"), got {ids}')
    if len(set(ids)) < len(ids):
        raise ValueError(f"implements takes each id once, got {', '.join(ids)}")

    def mark(target: T) -> T:
        target.__implements__ = ids  # type: ignore[attr-defined]
        return target

    return mark
