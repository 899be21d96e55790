"""The rules that several methods' work follows: by element, gathers, and updates in place."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gpucnn.profiling.sizes import Shaped, count, flat, nbytes


class Work(NamedTuple):
    """What a call has to do at least."""

    flops: int
    bytes: int


Arguments = dict[str, Any]
Rule = Callable[[Arguments, Any], Work]
"""From a method's arguments by name (arrays as Shaped) and its result."""


def each(flops: int) -> Rule:
    """`flops` an element of the largest array; all arguments read, all results written."""

    def rule(a: Arguments, out: Any) -> Work:
        arrays = [value for value in (*a.values(), out) if isinstance(value, (Shaped, tuple))]
        largest = max((count(value) for value in flat(arrays)), default=0)
        return Work(flops * largest, nbytes(*arrays))

    return rule


def gather(source: str) -> Rule:
    """Of `source`, as much is read as the result holds; pixels of uint8 are divided."""

    def rule(a: Arguments, out: Any) -> Work:
        itemsize = a[source].itemsize
        flops = count(out) if itemsize == 1 else 0
        return Work(flops, itemsize * count(out) + nbytes(a["indices"], out))

    return rule


def update(flops: Callable[[Arguments], int], *written: str) -> Rule:
    """An update in place: the arenas named are read and written, the others read."""

    def rule(a: Arguments, out: Any) -> Work:
        arenas = {key: value for key, value in a.items() if isinstance(value, Shaped)}
        size = count(next(iter(arenas.values())))
        twice = sum(nbytes(arenas[key]) for key in written if key in arenas)
        each_takes = flops(a) + 3 * ("average" in arenas)
        return Work(each_takes * size, nbytes(*arenas.values()) + twice + nbytes(out))

    return rule


def sgd(a: Arguments) -> int:
    """FLOPs of an update for each parameter; so of the two below."""
    momentum = 2 * bool(a["momentum"]) * (2 if a["nesterov"] else 1)
    return 2 + momentum + 2 * bool(a["weight_decay"]) + (a["lr_scale"] is not None)


def adam(a: Arguments) -> int:
    return 14 + 2 * bool(a["weight_decay"]) + (a["lr_scale"] is not None)


def rmsprop(a: Arguments) -> int:
    extra = 2 * bool(a["momentum"]) + 2 * bool(a["weight_decay"])
    return 9 + extra + (a["lr_scale"] is not None)
