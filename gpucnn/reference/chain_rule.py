"""The chain rule, at one gate and over vectors: S1 §1 and §3, S3 (1.1)-(1.4). Float64."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements

Floats = NDArray[np.float64]


class Gates(NamedTuple):
    """S1's graph: the values from left to right, then the gradients from right to left."""

    q: float
    f: float
    df_dq: float
    df_dz: float
    df_dx: float
    df_dy: float


@implements("Q1", "S1:1", "E22", "E23")
def gates(x: float, y: float, z: float) -> Gates:
    """f = (x + y)z as q = x + y, f = q·z, and its gradients.

    S1's text has z = 4, its figures z = -4, to which f = -12 belongs; and the second of its two
    ∂q/∂x is ∂q/∂y.
    """
    q = x + y
    f = q * z
    df_dq, df_dz = z, q  # the product gate hands each side the other's value
    dq_dx, dq_dy = 1.0, 1.0  # the sum gate hands both the same
    return Gates(q, f, df_dq, df_dz, df_dq * dq_dx, df_dq * dq_dy)


@implements("S3:1.3", "S3:1.4")
def through(dz_dx: ArrayLike, jacobian: ArrayLike) -> Floats:
    """∂z/∂w_i = Σ_j ∂z/∂x_j · ∂x_j/∂w_i, the gradient taken through x(w).

    `jacobian`[j, i] is ∂x_j/∂w_i. S1 §3 writes the same sum, over the outputs O_k of a filter.
    """
    upstream, jacobian = np.asarray(dz_dx, np.float64), np.asarray(jacobian, np.float64)
    if jacobian.ndim != 2 or upstream.shape != jacobian.shape[:1]:
        raise ShapeError(
            f"jacobian must be (len(dz_dx), ...), got {jacobian.shape} for {upstream.shape}"
        )
    gradient = np.zeros(jacobian.shape[1])
    for i in range(jacobian.shape[1]):
        for j in range(jacobian.shape[0]):
            gradient[i] += upstream[j] * jacobian[j, i]
    return gradient


@implements("S3:1.1", "S3:1.2")
def jacobian(function: Callable[[Floats], ArrayLike], x: ArrayLike, step: float = 2**-17) -> Floats:
    """∂z_i/∂x_j (1.2) by central differences, z = function(x), both as vectors.

    Of a scalar function it is one row, whose transpose is the gradient (1.1). `step` balances the
    truncation, step²·z'''/6, with the rounding of z over the step.
    """
    x = np.asarray(x, np.float64)
    columns = []
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        rise = np.asarray(function(up), np.float64) - np.asarray(function(down), np.float64)
        columns.append(rise.ravel() / (up[place] - down[place]))
    return np.stack(columns, axis=1)
