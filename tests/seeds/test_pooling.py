"""Pools: the sources' examples and rules on the reference and on every device."""

import numpy as np
import pytest

from gpucnn.layers import AvgPool2d, Flatten, GlobalAvgPool2d, MaxPool2d
from gpucnn.ops.base import Ops
from gpucnn.reference import pooling
from tests.layers.harness import run
from tests.ops.harness import call
from tests.oracles.tolerance import assert_close
from tests.seeds.examples import D22, equal, integers, maps

DELTA = [[2, 8], [4, 6]]
"""S0 §3's error of a pool of 2x2."""


@pytest.mark.seed("P1", "A9", "S0:3", "S3:4.2")
def test_max_pool_backward(ops: Ops, dtype: str) -> None:
    """The recorded places are top left, bottom right, top right, bottom left."""
    x = maps([[9, 1, 1, 1], [1, 1, 1, 9], [1, 9, 1, 1], [1, 1, 9, 1]], dtype)
    y, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2)
    equal(y, [[9, 9], [9, 9]])
    equal(argmax, [[0, 3], [1, 2]])
    dx = call(ops, "max_pool2d_backward", maps(DELTA, dtype), argmax, x.shape, kernel_size=2)
    equal(dx, [[2, 0, 0, 0], [0, 0, 0, 8], [0, 4, 0, 0], [0, 0, 6, 0]])


@pytest.mark.seed("A9", "S3:4.1")
def test_each_channel_is_pooled_on_its_own(ops: Ops, dtype: str) -> None:
    """S2's 3x24x24 becomes 3x12x12: the depth stays."""
    x = integers((2, 3, 24, 24), dtype)
    y, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2)
    assert y.shape == (2, 3, 12, 12)
    dy = integers(y.shape, dtype, 1)
    dx = call(ops, "max_pool2d_backward", dy, argmax, x.shape, kernel_size=2)
    for n, c in np.ndindex(2, 3):
        alone = x[n, c][None, None].copy()
        y1, argmax1 = call(ops, "max_pool2d_forward", alone, kernel_size=2)
        equal(y1[0, 0], y[n, c])
        dy1 = dy[n, c][None, None].copy()
        dx1 = call(ops, "max_pool2d_backward", dy1, argmax1, alone.shape, kernel_size=2)
        equal(dx1[0, 0], dx[n, c])


@pytest.mark.seed("P2", "A11", "S0:3")
def test_average_pool(ops: Ops, dtype: str) -> None:
    """S0 §3: a mean forward, a quarter of δ to each of the four cells backward."""
    y = call(ops, "avg_pool2d_forward", maps([[1, 3, 1, 4], [2, 8, 5, 1]], dtype), kernel_size=2)
    equal(y, [[14 / 4, 11 / 4]])
    dx = call(ops, "avg_pool2d_backward", maps(DELTA, dtype), (1, 1, 4, 4), kernel_size=2)
    equal(dx, [[0.5, 0.5, 2, 2], [0.5, 0.5, 2, 2], [1, 1, 1.5, 1.5], [1, 1, 1.5, 1.5]])


@pytest.mark.seed("E18", "S0:3")
def test_upsample_gives_each_delta_its_own_block() -> None:
    """3x3 and k = 2 make 6x6, where S0's ring of zeros would make 5x5."""
    delta = np.arange(1.0, 10).reshape(3, 3)
    big = pooling.upsample(delta[None, None], 2)
    equal(big, np.kron(delta, np.ones((2, 2))))


@pytest.mark.seed("A10", "S3:4.6", "E28")
def test_overlapping_max_pools_add_up(ops: Ops, dtype: str) -> None:
    x = maps([[1, 2, 3], [4, 9, 5], [6, 7, 8]], dtype)
    kw = {"kernel_size": 2, "stride": 1}
    _, argmax = call(ops, "max_pool2d_forward", x, **kw)
    dx = call(ops, "max_pool2d_backward", maps(D22, dtype), argmax, x.shape, **kw)
    equal(dx, [[0, 0, 0], [0, 10, 0], [0, 0, 0]])


@pytest.mark.seed("A10")
def test_overlaps_come_out_alike_every_time(ops: Ops, dtype: str) -> None:
    """A gather, not atomics: sums whose bits depend on the order are the same in every run."""
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9)).astype(dtype)
    kw = {"kernel_size": 3, "stride": 1}
    y, argmax = call(ops, "max_pool2d_forward", x, **kw)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    first, second = (call(ops, "max_pool2d_backward", dy, argmax, x.shape, **kw) for _ in range(2))
    equal(first, second)


@pytest.mark.seed("A11", "E16")
def test_overlapping_average_pools_add_up(ops: Ops, dtype: str) -> None:
    dx = call(ops, "avg_pool2d_backward", maps(D22, dtype), (1, 1, 3, 3), kernel_size=2, stride=1)
    equal(dx, [[0.25, 0.75, 0.5], [1, 2.5, 1.5], [0.75, 1.75, 1]])


@pytest.mark.seed("A11")
def test_padding_counts_or_does_not(ops: Ops, dtype: str) -> None:
    """R is the whole window with count_include_pad, its real cells without."""
    x, kw = maps([[4, 8]], dtype), {"kernel_size": 2, "padding": 1, "stride": 1}
    equal(call(ops, "avg_pool2d_forward", x, **kw), [[1, 3, 2], [1, 3, 2]])
    kw["count_include_pad"] = False
    equal(call(ops, "avg_pool2d_forward", x, **kw), [[4, 6, 8], [4, 6, 8]])


@pytest.mark.seed("A12")
def test_global_average_is_one_number_a_map_at_any_resolution(ops: Ops, dtype: str) -> None:
    """64 maps give a 64-vector; each cell gets δ/(H·W) back. Powers of two: exact."""
    for size in ((4, 4), (2, 8), (8, 8)):
        cells = size[0] * size[1]
        layer = GlobalAvgPool2d()
        assert layer.build((64, *size), ops, 0, dtype=dtype) == (64,)
        x, dy = integers((2, 64, *size), dtype), integers((2, 64), dtype, 1)
        y, dx = run(layer, x, dy)
        equal(y, x.sum(axis=(2, 3)) / cells)
        equal(dx, np.broadcast_to(dy[:, :, None, None] / cells, x.shape))
        equal(pooling.global_avg_pool2d(x), y)
        equal(pooling.global_avg_pool2d_backward(dy, x.shape), dx)


@pytest.mark.seed("A13")
def test_l2_pool(ops: Ops, dtype: str) -> None:
    """S2: the root of the sum of squares, no mean; the gradient of a zero window is 0."""
    x = maps([[1, 3, 1, 4], [2, 8, 5, 1]], dtype)
    y = call(ops, "lp_pool2d_forward", x, kernel_size=2)
    # A sum of 4 squares, exact here, a root and, around it, scaling: 24 roundings, as test_pooling.
    assert_close(y[0, 0], np.sqrt([[78.0, 43.0]]), terms=24)
    assert abs(y[0, 0] - [[8.83176087, 6.55743852]]).max() < 1e-6
    dx = call(ops, "lp_pool2d_backward", np.ones_like(y), x, y, kernel_size=2)
    assert_close(dx[0, 0], x[0, 0] / np.repeat(np.sqrt([[78.0, 43.0]]), 2, axis=1), terms=48)
    zero = np.zeros((1, 1, 2, 2), dtype)
    flat = call(ops, "lp_pool2d_forward", zero, kernel_size=2)
    equal(call(ops, "lp_pool2d_backward", np.ones_like(flat), zero, flat, kernel_size=2), zero)


@pytest.mark.seed("C6", "S0:2")
def test_pools_and_flatten_have_no_activation(ops: Ops, dtype: str) -> None:
    """σ(z) = z and σ' = 1: negative values pass, and δ comes back whole."""
    x = -1 - abs(integers((1, 2, 4, 4), dtype))
    for make in (lambda: MaxPool2d(2), lambda: AvgPool2d(2), Flatten):
        layer = make()
        layer.build(x.shape[1:], ops, 0, dtype=dtype)
        y, dx = run(layer, x, np.ones((1, *layer.output_shape), dtype))
        assert y.max() < 0
        assert dx.sum() == y.size


@pytest.mark.seed("C7")
@pytest.mark.parametrize(("tie_break", "winner"), [("row_major", (0, 1)), ("column_major", (1, 0))])
def test_ties_by_rows_or_by_columns(
    ops: Ops, dtype: str, tie_break: str, winner: tuple[int, int]
) -> None:
    """Reading order by default; S3 takes the smallest column, then the smallest row."""
    x = maps([[1, 5], [5, 5]], dtype)
    layer = MaxPool2d(2, tie_break=tie_break)
    layer.build((1, 2, 2), ops, 0, dtype=dtype)
    y, dx = run(layer, x, np.ones((1, 1, 1, 1), dtype))
    assert y == 5
    assert np.argwhere(dx[0, 0]).tolist() == [list(winner)]
    default = call(ops, "max_pool2d_forward", x, kernel_size=2)[1]
    assert default.item() == 1


@pytest.mark.seed("C7")
@pytest.mark.parametrize("tie_break", ["row_major", "column_major"])
def test_nan_wins_its_window(ops: Ops, dtype: str, tie_break: str) -> None:
    x = maps([[7, 1], [np.nan, 9]], dtype)
    y, argmax = call(ops, "max_pool2d_forward", x, kernel_size=2, tie_break=tie_break)
    assert np.isnan(y).all()
    assert argmax.item() == 2
