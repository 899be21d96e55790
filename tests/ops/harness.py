"""How the tests call an operation: on any device, with the promises of every method checked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops

rng = np.random.default_rng


def normal(shape: Any, dtype: str, seed: int = 0) -> np.ndarray:
    """Standard normal numbers that use all digits of `dtype`."""
    return np.asarray(rng(seed).standard_normal(shape), dtype=dtype)


def call(
    ops: Ops,
    method: str,
    *args: Any,
    writes: tuple[int, ...] = (),
    may_alias: bool = False,
    **kw: Any,
) -> Any:
    """Call `method` with NumPy arrays, return NumPy arrays.

    Checks that only the positional arguments `writes` are written, and that every result array is
    the device's own, C-contiguous and (on the host) shares no memory with an argument.
    """
    given = [_to_device(ops, a) for a in args]
    named = {key: _to_device(ops, a) for key, a in kw.items()}
    before = [_bytes(ops, a) for a in given], {key: _bytes(ops, a) for key, a in named.items()}
    result = getattr(ops, method)(*given, **named)
    for i, a in enumerate(given):
        if i not in writes:
            assert _bytes(ops, a) == before[0][i], f"{method} wrote its argument {i}"
    for key, a in named.items():
        assert _bytes(ops, a) == before[1][key], f"{method} wrote its argument {key}"
    for i in writes:
        args[i][...] = ops.to_numpy(given[i])
    for out in result if type(result) in (list, tuple) else [result]:
        assert not isinstance(out, np.generic), f"{method} returned a scalar, not an array"
    for out in _arrays(ops, result):
        assert out.flags.c_contiguous, f"{method} returned an array of strides {out.strides}"
        for a in _arrays(ops, [given, list(named.values())]):
            if isinstance(out, np.ndarray) and not may_alias:
                assert not np.shares_memory(out, a), f"{method} returned a part of its argument"
    return _to_host(ops, result)


def _map(function: Callable[[Any], Any], a: Any) -> Any:
    return type(a)(_map(function, item) for item in a) if type(a) in (list, tuple) else function(a)


def _to_device(ops: Ops, a: Any) -> Any:
    def move(item: Any) -> Any:
        # A copy, because asarray may share memory with `item`.
        return ops.asarray(item.copy()) if isinstance(item, np.ndarray) else item

    return _map(move, a)


def _to_host(ops: Ops, a: Any) -> Any:
    return _map(lambda item: ops.to_numpy(item) if ops.is_array(item) else item, a)


def _arrays(ops: Ops, a: Any) -> list[Any]:
    if type(a) in (list, tuple):
        return [array for item in a for array in _arrays(ops, item)]
    return [a] if ops.is_array(a) else []


def _bytes(ops: Ops, a: Any) -> list[bytes]:
    return [ops.to_numpy(array).tobytes() for array in _arrays(ops, a)]


def numeric_gradient(function: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Central differences of a scalar function of a float64 array."""
    gradient = np.zeros_like(x)
    step = DIFFERENCE_STEP
    for at in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        gradient[at] = (function(up) - function(down)) / (up[at] - down[at])
    return gradient


DIFFERENCE_STEP = 2.0**-17
"""About eps^(1/3), where truncation h²·f'''/6 and rounding eps·|f|/h are alike."""


def assert_gradient(
    function: Callable[[np.ndarray], float],
    x: np.ndarray,
    gradient: np.ndarray,
    *,
    curvature: float = 1.0,
) -> None:
    """Compare `gradient` with central differences.

    The difference errs by h²·|f'''|/6, `curvature` bounding |f'''|, and by the rounding of f,
    64·eps·max(|f|, 1) at most for these sums of some dozens of terms, over h.
    """
    numeric = numeric_gradient(function, x)
    rounding = 64 * np.finfo(np.float64).eps * max(abs(function(x)), 1.0) / DIFFERENCE_STEP
    allowed = DIFFERENCE_STEP**2 * curvature / 6 + rounding
    assert gradient.shape == x.shape
    assert np.abs(gradient - numeric).max(initial=0.0) <= allowed
