"""Whether a method computes what it should, before anyone cares how fast it does.

The result in float32, on a case with fewer images, is held against the same on `cpu` in float64
and, where PyTorch takes part, against PyTorch in float64 on the CPU: on `cpu` itself only the
latter is another's formula. (The tests of the operations have literal equations for all of them.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import Case, results
from gpucnn.profiling.benchmark.makers import MAKERS
from gpucnn.profiling.benchmark.torch_calls import comparable, torch_call, torch_drawer
from gpucnn.profiling.benchmark.works import work_of

ROUNDINGS = 16
"""An error may be so many times eps · √terms of the largest result: what a sum in any order errs
is well below, any wrong index far above."""

FLOPS = 2e8
BYTES = 2**24
"""About what a checked call computes and moves at most, if two images do not exceed it."""


class WrongResultError(Exception):
    """A method's result that rounding does not explain: its row's fault, and no other's."""


@dataclass(frozen=True)
class Checked:
    """What a result was held against, and its largest error in parts of the largest result."""

    oracle: str
    error: float


def shrunk(kind: str, name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes with so few images (rows, parameters) that a check takes no time; two at least."""
    row = list(MAKERS[kind](name, tuple(sizes)))
    flops, moved = max(case.flops for case in row), max(case.bytes for case in row)
    part = min(1.0, FLOPS / max(1, flops), BYTES / max(1, moved))
    return (max(min(sizes[0], 2), int(sizes[0] * part)), *sizes[1:])


def check(case: Case, ops: Ops, cpu: Ops, torch: Any = None) -> Checked:
    """Check a small case; WrongResultError says where and by how much it is wrong."""
    found = results(case, ops, "float32")
    flops = work_of(case, cpu).flops
    oracle = "cpu float64"
    error = compare(case, found, results(case, cpu, "float64"), flops, oracle)
    if torch is not None and comparable(case.method):
        theirs = _in_torch(case, torch)
        if theirs:
            error = max(error, compare(case, found, theirs, flops, "PyTorch float64"))
            oracle += ", PyTorch float64"
    return Checked(oracle, error)


def _in_torch(case: Case, torch: Any) -> list[Any]:
    call = torch_call(torch, case, torch_drawer(torch, "fp32", "cpu", "float64"), "fp32")
    if call is None:
        return []
    found = call()
    arrays = found if isinstance(found, (tuple, list)) else [found]
    return [a.detach().numpy() for a in arrays]


def compare(
    case: Case, found: Sequence[Any], exact: Sequence[Any], flops: int, oracle: str
) -> float:
    """The largest error of floats, in parts of the largest result; other numbers must be equal.

    WrongResultError where it is beyond rounding. `exact` may hold the first few arrays alone.
    """
    if len(found) < len(exact):
        raise WrongResultError(f"{case}: {len(found)} results, {oracle} has {len(exact)}")
    worst = 0.0
    for number, (a, e) in enumerate(zip(found, exact, strict=False)):
        if a.shape != e.shape:
            raise WrongResultError(
                f"{case}: result {number} has shape {a.shape}, {oracle} has {e.shape}"
            )
        if a.size == 0:
            continue
        gap = np.abs(a.astype("float64") - e)
        scale = float(np.abs(e).max()) if a.dtype.kind == "f" else 0.0
        terms = max(1.0, flops / a.size)
        allowed = ROUNDINGS * float(np.finfo("float32").eps) * sqrt(terms) * scale
        # NaN is within no tolerance.
        if not (gap <= allowed).all():
            at = tuple(int(i) for i in np.unravel_index(np.nanargmax(_wrong(gap)), gap.shape))
            raise WrongResultError(
                f"wrong result: {case}, result {number} at {at} is {a[at]!s}, {oracle} has"
                f" {e[at]!s}; rounding explains {allowed:.1e} at most"
            )
        if scale:
            worst = max(worst, float(gap.max()) / scale)
    return worst


def _wrong(gap: Any) -> Any:
    return np.where(np.isnan(gap), np.inf, gap)
