"""How far a floating-point result may lie from the exact one: computed, never tried out.

With u = eps/2, a sum of n products in any order, fused or not, errs by at most
γ_n·Σ|a||b|, γ_n = n·u/(1 - n·u) (Higham, "Accuracy and Stability of Numerical Algorithms", §3.1).
The oracle supplies Σ|a||b| by running on absolute values. The bound is doubled for the oracle's own
rounding where the tested dtype is float64 too, and n smallest normal numbers are added for products
that underflow or are flushed to zero.
"""

from typing import Any

import numpy as np


def gamma(terms: int, dtype: str) -> float:
    """γ_n of `dtype` for `terms` roundings on the longest path."""
    nu = terms * float(np.finfo(dtype).eps) / 2
    assert nu < 0.5, "the bound says nothing for so many terms"
    return nu / (1 - nu)


def bound(terms: int, magnitude: Any, dtype: str) -> Any:
    """The largest allowed distance, elementwise: see the module's text."""
    return 2 * gamma(terms, dtype) * np.abs(magnitude) + terms * float(np.finfo(dtype).tiny)


def assert_close(
    actual: np.ndarray, expected: Any, *, terms: int, magnitude: Any = None, what: str = "result"
) -> None:
    """Assert shape, NaN and infinities equal, and all else inside the bound.

    `terms` counts the roundings of one element, `magnitude` is Σ|a||b| (default |expected|, for
    results without cancellation). The dtype is that of `actual`.
    """
    expected = np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    wide = actual.astype(np.float64)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(wide[~finite], expected[~finite], err_msg=what)
    scale = np.broadcast_to(expected if magnitude is None else magnitude, expected.shape)[finite]
    distance = np.abs(wide[finite] - expected[finite])
    allowed = bound(terms, scale, actual.dtype.name)
    # Written so that a NaN in `actual` fails.
    wrong = ~(distance <= allowed)
    if wrong.any():
        place = tuple(np.argwhere(finite)[np.flatnonzero(wrong)[0]].tolist())
        raise AssertionError(
            f"{what}: {wrong.sum()} of {expected.size} elements are off; at {place} got"
            f" {wide[place]!r}, expected {expected[place]!r}, distance {distance[wrong][0]:.3g},"
            f" allowed {allowed[wrong][0]:.3g}"
        )
