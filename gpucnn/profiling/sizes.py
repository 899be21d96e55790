"""Arrays as their shapes alone: how large they are, and what windows read of them."""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple


class Shaped(NamedTuple):
    """What stands for an array: its shape and the bytes of an element."""

    shape: tuple[int, ...]
    itemsize: int


def shaped(value: Any) -> Any:
    """The value with every array replaced by its shape, so that nothing keeps the array alive."""
    itemsize = getattr(value, "itemsize", None)
    if itemsize is not None:
        return Shaped(tuple(value.shape), int(itemsize))
    if isinstance(value, (tuple, list)):
        return tuple(shaped(item) for item in value)
    return value


def count(*values: Any) -> int:
    """Elements of arrays, also of those in tuples; other values have none."""
    return sum(_total(value, 1) for value in values)


def nbytes(*values: Any) -> int:
    """The same in bytes."""
    return sum(_total(value, None) for value in values)


def _total(value: Any, itemsize: int | None) -> int:
    if isinstance(value, Shaped):
        return prod(value.shape) * (itemsize or value.itemsize)
    if isinstance(value, tuple):
        return sum(_total(item, itemsize) for item in value)
    return 0


def flat(values: Any) -> list[Shaped]:
    """The arrays in lists and tuples, however deep."""
    if isinstance(values, Shaped):
        return [values]
    return [item for v in values for item in flat(v)] if isinstance(values, (list, tuple)) else []


@lru_cache(maxsize=4096)
def touched(size: int, outputs: int, taps: int, stride: int, pad: int, dilation: int) -> int:
    """How many of an axis's cells any window reads."""
    cells = {p * stride - pad + t * dilation for p in range(outputs) for t in range(taps)}
    return sum(1 for cell in cells if 0 <= cell < size)
