"""Overflow and NaN: every operation goes on as IEEE arithmetic says, and says nothing.

A diverging run must end in one clear message of the trainer, not in warnings of a library; the
suite turns these into errors.
"""

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from tests.ops.harness import call
from tests.ops.test_arguments import CALLS, host_arrays


def not_finite(a: np.ndarray, kind: str) -> np.ndarray:
    """`a` with values whose products overflow, or infinities of both signs and NaN."""
    if kind == "huge":
        return np.where(a < 1, np.finfo(a.dtype).max, -np.finfo(a.dtype).max / 2).astype(a.dtype)
    flat = a.ravel().copy()
    flat[::3], flat[1::3] = np.inf, -np.inf
    flat[-1] = np.nan
    return flat.reshape(a.shape)


# One array alone sets the size: these can be made large enough to be shared among threads.
GROWING = [m for m, (arrays, kw) in CALLS.items() if len(arrays) == 1 and "x_shape" not in kw]
CASES = [(method, 1) for method in CALLS] + [(method, 80_000) for method in GROWING]


@pytest.mark.parametrize("kind", ["huge", "infinite"])
@pytest.mark.parametrize(("method", "size"), CASES)
def test_no_operation_complains(ops: Ops, dtype: str, method: str, size: int, kind: str) -> None:
    arrays = {}
    if ops.name == "emulator":
        size = min(size, 8_000)  # a few blocks
    for name, a in host_arrays(method, dtype).items():
        grown = np.concatenate([a] * -(-size // a.size))
        # A cosine and a sine say where to look, as an index does: they are refused.
        arrays[name] = ops.asarray(
            not_finite(grown, kind) if a.dtype == dtype and name != "turns" else grown
        )
    getattr(ops, method)(**arrays, **CALLS[method][1])
    ops.synchronize()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", ["huge", "infinite"])
def test_batch_norm_backward_does_not_complain(
    ops: Ops, dtype: str, kind: str, train: bool
) -> None:
    arrays = host_arrays("batch_norm2d_forward", dtype)
    x, *rest, residual = (ops.asarray(a) for a in arrays.values())
    bad = ops.asarray(not_finite(arrays["x"], kind))
    fused = {"residual": residual, "activation": "relu"}
    for given in (x, bad):
        for options in ({}, {"activation": "relu"}, fused):
            _, saved = ops.batch_norm2d_forward(given, *rest, train=train, **options)
            ops.batch_norm2d_backward(bad, saved, rest[0])


def test_overflow_in_a_large_convolution(ops: Ops) -> None:
    """Large enough to be shared among threads, which have error states of their own."""
    x, w = np.full((32, 8, 32, 32), 1e30, "float32"), np.full((8, 8, 3, 3), 1e30, "float32")
    assert np.isinf(call(ops, "conv2d_forward", x, w, padding=1)).all()
    assert np.isinf(call(ops, "conv2d_backward_input", x, w, x.shape, padding=1)).all()
    assert np.isinf(call(ops, "conv2d_backward_weight", x, x, w.shape, padding=1)).all()


def test_a_nan_reaches_the_loss(ops: Ops, dtype: str) -> None:
    logits = np.zeros((2, 3), dtype)
    logits[1, 2] = np.nan
    loss, dlogits = call(ops, "softmax_cross_entropy", logits, np.zeros(2, np.int32))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(dlogits), [[False] * 3, [True] * 3])
