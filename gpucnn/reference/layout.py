"""The order of axes: S4's code is NHWC with filters HWIO, S2 (and we) NCHW with filters KCRS."""

import numpy as np
from numpy.typing import NDArray

from gpucnn.implements import implements

Array = NDArray[np.float64]


@implements("C2")
def nhwc_to_nchw(x: Array) -> Array:
    """(images, height, width, channels) -> (images, channels, height, width)."""
    return np.ascontiguousarray(np.transpose(x, (0, 3, 1, 2)))


@implements("C2")
def nchw_to_nhwc(x: Array) -> Array:
    """(images, channels, height, width) -> (images, height, width, channels)."""
    return np.ascontiguousarray(np.transpose(x, (0, 2, 3, 1)))


@implements("C2")
def hwio_to_kcrs(w: Array) -> Array:
    """(height, width, in, out) -> (out, in, height, width): K filters, C channels, R x S."""
    return np.ascontiguousarray(np.transpose(w, (3, 2, 0, 1)))


@implements("C2")
def kcrs_to_hwio(w: Array) -> Array:
    """(out, in, height, width) -> (height, width, in, out)."""
    return np.ascontiguousarray(np.transpose(w, (2, 3, 1, 0)))
