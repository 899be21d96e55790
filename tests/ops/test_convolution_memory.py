"""Large convolutions: the extra memory stays small whatever the batch, and blocks join rightly."""

import tracemalloc
from math import prod
from typing import Any

import numpy as np
import pytest

from gpucnn.ops import numpy_ops
from gpucnn.ops.cpu import columns, parallel
from tests.ops.geometries import GEOMETRIES, geometry
from tests.ops.harness import normal
from tests.ops.test_convolution import CHECKS
from tests.oracles.tolerance import assert_close

MIB = 1 << 20

# Each has an im2col matrix well over both bounds: a large batch, one large image, a strided
# and a depthwise one.
LARGE: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "batch": ((64, 8, 48, 48), (8, 8, 5, 5), {"padding": 2}),
    "image": ((1, 3, 768, 768), (4, 3, 5, 5), {"padding": 2}),
    "strided": ((64, 8, 96, 96), (8, 8, 6, 6), {"padding": 2, "stride": 2}),
    "depthwise": ((64, 8, 64, 64), (8, 1, 5, 5), {"padding": 2, "groups": 8}),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("operation", ["forward", "backward_input", "backward_weight"])
def test_extra_memory_and_sampled_values(name: str, operation: str) -> None:
    """On the cpu under 64 MiB or twice the input beside the result; a sample summed literally."""
    ops = numpy_ops.NumpyOps()
    x_shape, w_shape, kw = LARGE[name]
    groups, stride, pad = kw.get("groups", 1), kw.get("stride", 1), kw["padding"]
    out = tuple((size + 2 * pad - w_shape[2]) // stride + 1 for size in x_shape[2:])
    dtype = "float32"
    x, w = normal(x_shape, dtype), normal(w_shape, dtype, 1)
    dy = normal((x_shape[0], w_shape[0], *out), dtype, 2)
    columns = x_shape[0] * x_shape[1] * prod(w_shape[2:]) * prod(out) * 4
    args: tuple[Any, ...] = {
        "forward": (x, w),
        "backward_input": (dy, w, x_shape),
        "backward_weight": (dy, x, w_shape),
    }[operation]
    inputs = sum(a.nbytes for a in args if isinstance(a, np.ndarray))
    allowed = max(64 * MIB, 2 * inputs)
    assert columns > 1.2 * allowed, "this shape would not show a whole im2col matrix"

    getattr(ops, f"conv2d_{operation}")(*args, **kw)  # builds pools and loads what is lazy
    tracemalloc.start()
    try:
        result = getattr(ops, f"conv2d_{operation}")(*args, **kw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    extra = peak - result.nbytes
    assert extra <= allowed, f"{extra / MIB:.0f} MiB extra"

    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    filters, channels = w_shape[0] // groups, w_shape[1]
    sample = np.random.default_rng(3)
    for _ in range(6):
        at = tuple(int(sample.integers(size)) for size in result.shape)
        if operation == "forward":
            n, k, p, q = at
            first = k // filters * channels
            i, j = p * stride, q * stride
            window = padded[n, first : first + channels, i : i + w_shape[2], j : j + w_shape[3]]
            products = window * w[k]
        elif operation == "backward_weight":
            k, c, r, s = at
            rows = slice(r, r + stride * out[0], stride), slice(s, s + stride * out[1], stride)
            products = dy[:, k] * padded[:, k // filters * channels + c, rows[0], rows[1]]
        else:
            n, c, i, j = at
            group = slice(c // channels * filters, (c // channels + 1) * filters)
            terms = [
                dy[n, group, (i + pad - r) // stride, (j + pad - s) // stride].astype(np.float64)
                * w[group, c % channels, r, s]
                for r in range(w_shape[2])
                for s in range(w_shape[3])
                if not ((i + pad - r) % stride or (j + pad - s) % stride)
                and 0 <= (i + pad - r) // stride < out[0]
                and 0 <= (j + pad - s) // stride < out[1]
            ]
            products = np.array(terms)
        assert_close(
            result[at].reshape(()),
            products.sum(dtype=np.float64),
            terms=products.size,
            magnitude=abs(products).sum(dtype=np.float64),
            what=f"element {at}",
        )


@pytest.mark.parametrize("share_from", [1, columns.SHARE_FROM])
@pytest.mark.parametrize("budget", [1, 700, 5000])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_blocks_of_any_size_join(
    monkeypatch: pytest.MonkeyPatch, name: str, budget: int, share_from: int
) -> None:
    """The geometries once more, cut into blocks that split images, rows and the batch.

    With `share_from` 1 kernel rows are views of one matrix, however few channels there are.
    """
    monkeypatch.setattr(columns, "SHARE_FROM", share_from)
    monkeypatch.setattr(columns, "BLOCK_BYTES", budget)
    monkeypatch.setattr(parallel, "SMALL", 0)
    cpu = numpy_ops.NumpyOps()
    for check in CHECKS:
        check(cpu, *geometry(name), "float64")
