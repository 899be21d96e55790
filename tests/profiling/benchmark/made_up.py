"""Shapes that take no time, and results that nobody measured."""

from typing import Any

from gpucnn.profiling.benchmark.results import OURS, TIMED, TORCH, Benchmark, Row, Timing
from gpucnn.profiling.profile import Ceilings

TABLE: dict[str, dict[str, tuple[int, ...]]] = {
    "convolutions": {
        "3x3": (2, 5, 9, 7, 6, 3, 3, 1, 1, 1, 1),
        "dilated s2": (3, 4, 11, 9, 4, 3, 3, 2, 2, 2, 1),
        "depthwise": (2, 6, 9, 8, 6, 3, 3, 2, 1, 1, 6),
    },
    "pools": {"3x3 s2": (2, 3, 9, 7, 3, 2, 1)},
    "batch_norms": {"bn": (3, 4, 7, 5)},
    "linears": {"fc": (5, 33, 17)},
    "arenas": {"arena": (1031,)},
}

TEXT = """\
linears: {fc: [5, 33, 17]}
arenas: {arena: [1031]}
pools: {p: [9, 3, 4, 4, 2, 2, 0]}
"""

CEILINGS = Ceilings(10.0, 0.1, "a device", "made up")

META: dict[str, Any] = {
    "device": "cuda", "device_name": "A <GPU>", "versions": {"numpy": "2"},
    "caches": ["cold", "warm"], "repeats": 15, "images": None, "against": "torch",
    "load": 0.0, "cores": 4,
}  # fmt: skip


def timing(ms: float, spread: float = 0.02, by: str = OURS, cache: str = "warm") -> Timing:
    """Quartiles `spread` of the median apart."""
    return Timing(by, cache, ms, ms * (1 - spread / 2), ms * (1 + spread / 2), 15)


def row(shape: str, *times: Timing, method: str = "conv2d_forward", **values: Any) -> Row:
    known = {"status": TIMED, "flops": 10**9, "bytes": 10**7, **values}
    return Row(method, shape, (2, 3), times=times, **known)


def result(*rows: Row, **meta: Any) -> Benchmark:
    return Benchmark({**META, **meta}, CEILINGS, rows)


def beside_torch(shape: str, ours: float, theirs: float, **values: Any) -> Row:
    return row(shape, timing(ours), timing(theirs, by=TORCH), **values)
