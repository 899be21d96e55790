"""A device beside the cpu and the emulator, number by number, and beside itself."""

from collections.abc import Sequence
from functools import lru_cache
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np

import gpucnn
from acceptance.sections import Deadline, Section
from gpucnn.profiling.benchmark.cases import Case, results
from gpucnn.profiling.benchmark.makers import cases

ROUNDING = 16
"""How many times the cpu's own float32 error a device may err: it adds in another order."""

ELEMENTS = 2e6
"""Of an input that is drawn on the host and compared there."""

# Small, and each awkward in its own way: what the emulator can do, too.
SMALL: dict[str, dict[str, Sequence[int]]] = {
    "convolutions": {
        "3x3": (2, 5, 9, 7, 6, 3, 3, 1, 1, 1, 1),
        "3x3 s2": (2, 3, 9, 9, 5, 3, 3, 2, 1, 1, 1),
        "1x1": (3, 8, 5, 5, 7, 1, 1, 1, 0, 1, 1),
        "dilated": (1, 5, 11, 9, 4, 3, 3, 1, 2, 2, 1),
        "grouped": (2, 12, 8, 8, 6, 3, 3, 1, 1, 1, 2),
        "depthwise": (2, 6, 9, 8, 6, 3, 3, 2, 1, 1, 6),
    },
    "pools": {"2x2": (2, 3, 8, 8, 2, 2, 0), "3x3 s2": (2, 3, 9, 7, 3, 2, 1)},
    "batch_norms": {"bn": (3, 4, 7, 5)},
    "linears": {"fc": (5, 33, 17)},
    "arenas": {"arena": (1031,)},
}


def parity(
    section: Section,
    device: str,
    table: dict[str, Any],
    deadline: Deadline,
    quick: bool,
    alone: bool,
) -> None:
    """Each method in float32 on the emulator and the device, against the cpu.

    The benchmark's shapes, with two images each, run on the device alone: too much to emulate.
    `alone` leaves the emulator out.
    """
    devices = [device] if alone else list(dict.fromkeys(["emulator", device]))
    tested = [(case, devices) for case in cases(SMALL)]
    if not quick:
        tested += [(case, [device]) for case in cases(fewer_images(table, 2))]
    cpu, opened = gpucnn.get_ops("cpu"), {name: gpucnn.get_ops(name) for name in devices}
    pieces = [Compared(case, name) for case, names in tested for name in names]

    def compared(piece: Compared) -> None:
        exact, single = expected(piece.case)
        row = {"method": piece.case.method, "shape": piece.case.shape, "device": piece.device}
        row |= compare(results(piece.case, opened[piece.device], "float32"), single, exact)
        section.add(row, failed=not row["agrees"])

    @lru_cache(maxsize=1)
    def expected(case: Case) -> tuple[list[Any], list[Any]]:
        return results(case, cpu, "float64"), results(case, cpu, "float32")

    section.each(pieces, compared, deadline, lambda: gpucnn.get_ops(device))


class Compared(NamedTuple):
    """A case on a device."""

    case: Case
    device: str

    def __str__(self) -> str:
        return f"{self.case} on {self.device}"


def fewer_images(table: dict[str, Any], most: int, elements: float = inf) -> dict[str, Any]:
    """The table's shapes with at most so many images, and two or no more than so many elements."""

    def fewer(sizes: Sequence[int], image: Sequence[int]) -> tuple[int, ...]:
        fitting = max(2, elements // max(1, prod(image)))
        return (int(min(sizes[0], most, fitting)), *sizes[1:])

    return {
        kind: {name: fewer(sizes, sizes[1:4]) for name, sizes in rows.items()}
        for kind, rows in table.items()
        if kind != "arenas"
    }


def compare(other: Sequence[Any], single: Sequence[Any], exact: Sequence[Any]) -> dict[str, Any]:
    """The worst differences of float32 results, and whether rounding explains them.

    `exact` is the same in float64 and sets the tolerance by the error of `single`. Results that
    are not floats must be equal.
    """
    row: dict[str, Any] = {"max_abs": 0.0, "max_relative": 0.0, "ulps": 0, "first": None}
    row["agrees"] = len(other) == len(single) == len(exact)
    for a, b, e in zip(other, single, exact, strict=False):
        if a.shape != b.shape or a.dtype != b.dtype:
            row["agrees"] = False
            continue
        different = np.flatnonzero(~((a == b) | ((a != a) & (b != b))).ravel())
        if row["first"] is None and different.size:
            row["first"] = [int(i) for i in np.unravel_index(different[0], a.shape)]
        if a.dtype.kind != "f":
            row["agrees"] &= not different.size
        elif a.size:
            gap = abs(a.astype("float64") - b)
            row["max_abs"] = max(row["max_abs"], float(gap.max()))
            relative = gap / np.maximum(abs(b), np.finfo(b.dtype).tiny)
            row["max_relative"] = max(row["max_relative"], float(relative.max()))
            row["ulps"] = max(row["ulps"], int(abs(_ordered(a) - _ordered(b)).max()))
            allowed = ROUNDING * (abs(b - e).max() + np.finfo(b.dtype).eps * abs(e).max())
            row["agrees"] &= bool(abs(a - e).max() <= allowed)
    return row


def _ordered(a: Any) -> Any:
    """Float32 bits as integers that count in the order of the numbers."""
    bits = np.ascontiguousarray(a).view("int32").astype("int64")
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def determinism(
    section: Section, device: str, table: dict[str, Any], deadline: Deadline, quick: bool
) -> None:
    """Each method twice: the same bits. Sixteen images are enough for sums to be split."""
    ops = gpucnn.get_ops(device)

    def repeated(case: Case) -> None:
        first, second = (results(case, ops, "float32") for _ in range(2))
        same = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
        row = {"method": case.method, "shape": case.shape, "same_bits": same}
        section.add(row, failed=not same)

    shapes = SMALL if quick else fewer_images(table, 16, ELEMENTS) | {"arenas": SMALL["arenas"]}
    section.each(cases(shapes), repeated, deadline, lambda: gpucnn.get_ops(device))
