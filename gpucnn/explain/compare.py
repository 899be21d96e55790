"""The result of a walk beside the same operation of the library, on the device `cpu`."""

from typing import Any

import numpy as np

from gpucnn.ops import get_ops


def agrees(result: Any, method: str, *args: Any, part: int | None = None, **keywords: Any) -> str:
    """Compute `method` on `cpu` and return the line that says that it gives `result`.

    Arrays of rank 2 and above become contiguous float64. `part` picks one of several results. Both
    sides round differently, by a few last digits. Raises ArithmeticError where they differ.
    """
    ops = get_ops("cpu")
    computed = getattr(ops, method)(*map(_argument, args), **keywords)
    theirs = ops.to_numpy(computed if part is None else computed[part])
    ours = np.asarray(result)
    close = theirs.shape == ours.shape and np.allclose(theirs, ours, rtol=1e-13, atol=1e-13)
    if not close:
        raise ArithmeticError(f"Ops {method} on cpu gives {theirs}, these steps give {ours}")
    return f"agrees with Ops {method} on cpu"


def _argument(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
