"""What every part of the reference's Ops shares."""

from typing import Any

import numpy as np

from gpucnn.ops.base import Array


def rounded(a: Any, dtype: Any) -> Array:
    """A result of the reference in the dtype that the contract promises."""
    return np.require(a, dtype, "C")


def unsupported(what: str) -> LookupError:
    """The refusal of an option that the sources do not have."""
    return LookupError(f"gpucnn.reference has no {what}")
