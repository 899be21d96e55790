"""S4's derivation of the input gradient, index by index: (8) to (14), and the bounds (16), (17)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.implements import implements

Array = NDArray[np.float64]


@implements("E8", "E9", "S4:9", "S4:16", "S4:17")
def outputs_that_read(x: int, kernel: int, outputs: int) -> range:
    """The x' whose window holds input cell x: x = x' + m (9) with 0 <= m < kernel.

    x' in [max(0, x+1-k), min(H^{l+1}-1, x)]   (16), where S4 has the H of the input (erratum E8).
    """
    return range(max(0, x + 1 - kernel), min(outputs - 1, x) + 1)


@implements("S4:8", "S4:10", "S4:11", "S4:12", "S4:13", "S4:14")
def delta_below(delta: ArrayLike, kernel: ArrayLike) -> Array:
    """δ^l(x, y) = Σ_x' Σ_y' δ^{l+1}(x', y') w(x-x', y-y')   (S4 (8) to (14)), stride 1, σ' = 1.

    In one sum what (15) draws as `full_correlation(delta, rot180(kernel))`. A map and a kernel of
    two axes each.
    """
    delta, kernel = np.asarray(delta, np.float64), np.asarray(kernel, np.float64)
    (P, Q), (k1, k2) = delta.shape, kernel.shape
    below = np.zeros((P + k1 - 1, Q + k2 - 1))
    for x, y in np.ndindex(below.shape):
        for above_x in outputs_that_read(x, k1, P):
            for above_y in outputs_that_read(y, k2, Q):
                m, n = x - above_x, y - above_y
                below[x, y] += delta[above_x, above_y] * kernel[m, n]
    return below
