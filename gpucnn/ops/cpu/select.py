"""Choosing between a value and 0 by its bits.

NumPy's masked copies take far longer than a comparison and an `and` of bits, and a product with
the mask would turn an infinite value times 0 into NaN.
"""

from typing import Any

import numpy as np

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.cpu.base import Scratch

_INTEGERS = {"float32": np.int32, "float64": np.int64}


def zero_where(drop: Array, values: Array, out: Array, keep: Array) -> None:
    """out = drop ? 0 : values, elementwise; `out` may be `values`.

    `keep` is an array of the shape and `mask_dtype` to work in.
    """
    integer = mask_dtype(values)
    np.copyto(keep, drop)
    keep -= 1  # no bits where dropped, all bits where kept
    np.bitwise_and(values.view(integer), keep, out=out.view(integer))


def cut(y: Array, values: Array, take: Scratch) -> None:
    """values = y <= 0 ? 0 : values, elementwise, in `cut_room` of scratch; y may be `values`."""
    drop = np.less_equal(y, 0, out=take.like(values, bool)).view(np.int8)
    drop -= 1  # in bytes, a quarter of `zero_where`'s pass; the sign fills the rest
    keep = take.like(values, mask_dtype(values))
    np.copyto(keep, drop)
    bits = values.view(keep.dtype)
    np.bitwise_and(bits, keep, out=bits)


def cut_room(count: int, itemsize: int) -> int:
    """Bytes of scratch for `cut` of `count` values."""
    return count * (1 + itemsize)


def mask_dtype(values: Array) -> Any:
    """Integers of the size of these floats."""
    return _INTEGERS[values.dtype.name]
