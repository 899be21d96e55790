"""Whether a method computes what it should, before anyone cares how fast it does.

The result in float32 is held against gpucnn.reference, the sources' equations as loops in float64,
on a very small case (small.py): another formula, on `cpu` too. Then, on a case with fewer images,
against the same on `cpu` in float64 and, where PyTorch takes part, against PyTorch in float64 on
the CPU. What the reference does not have (optimizers, say) has only the latter two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import Case, results
from gpucnn.profiling.benchmark.reference import NAME, Reference
from gpucnn.profiling.benchmark.torch_calls import comparable, torch_call, torch_drawer
from gpucnn.profiling.benchmark.works import work_of

ROUNDINGS = 16
"""An error may be so many times eps · √terms of the largest result: what a sum in any order errs
is well below, any wrong index far above."""


class WrongResultError(Exception):
    """A method's result that rounding does not explain: its row's fault, and no other's."""


@dataclass(frozen=True)
class Checked:
    """What a result was held against, and its largest error in parts of the largest result."""

    oracle: str
    error: float
    reference_sizes: tuple[int, ...] = ()
    """Those of the case that the reference has computed; none where it has no such method."""


def check(case: Case, ops: Ops, cpu: Ops, torch: Any = None, tiny: Case | None = None) -> Checked:
    """Check two small cases; WrongResultError says where and by how much one is wrong."""
    oracles, errors = [], []
    sizes: tuple[int, ...] = ()
    if tiny is not None and hasattr(Reference, tiny.method):
        exact = results(tiny, cast(Ops, Reference()), "float64")
        found, flops = results(tiny, ops, "float32"), work_of(tiny, cpu).flops
        errors.append(compare(tiny, found, exact, flops, NAME))
        oracles.append(NAME)
        sizes = tiny.sizes
    found, flops = results(case, ops, "float32"), work_of(case, cpu).flops
    errors.append(compare(case, found, results(case, cpu, "float64"), flops, "cpu float64"))
    oracles.append("cpu float64")
    if torch is not None and comparable(case.method):
        theirs = _in_torch(case, torch)
        if theirs:
            errors.append(compare(case, found, theirs, flops, "PyTorch float64"))
            oracles.append("PyTorch float64")
    return Checked(", ".join(oracles), max(errors), sizes)


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
