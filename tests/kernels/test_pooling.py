"""What is special to the pools' kernels: blocks, paths by geometry, cells that no window covers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.kernels import pooling
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.devices import PoisonedOps, poisoned
from tests.kernels.shifted import ShiftedOps, assert_same_bits, shifted
from tests.ops.harness import normal
from tests.ops.test_pooling import (
    DILATED,
    SHAPES,
    TIE_BREAKS,
    check_avg,
    check_lp,
    check_max,
    values,
)
from tests.oracles.pooling import Pool
from tests.oracles.tolerance import assert_close

Geometry = tuple[tuple[int, ...], dict[str, Any]]

# Each name says which kernel of the backward pass takes it.
COVERED_IN_PART: dict[str, Geometry] = {
    "pairs": ((2, 3, 6, 8), {"kernel_size": 2}),
    "pairs_with_a_row_left": ((2, 2, 7, 4), {"kernel_size": 2}),
    "pairs_with_half_a_window": ((2, 2, 5, 6), {"kernel_size": 2, "ceil_mode": True}),
    "pairs_of_one_row": ((2, 2, 1, 4), {"kernel_size": 2, "ceil_mode": True}),
    "scatter_with_a_column_left": ((2, 2, 6, 7), {"kernel_size": 2}),
    "scatter_with_gaps": ((1, 2, 11, 13), {"kernel_size": 2, "stride": (3, 4)}),
    "scatter_padded": ((1, 2, 8, 10), {"kernel_size": 3, "padding": ((1, 0), (2, 1))}),
    "scatter_dilated": ((1, 2, 10, 9), {"kernel_size": 2, "stride": 3, "dilation": 2}),
    "scatter_ceil": ((1, 2, 8, 7), {"kernel_size": 3, "ceil_mode": True}),
    "gather_with_gaps": ((1, 2, 14, 15), {"kernel_size": 3, "stride": 6}),
    "gather_dilated_gaps": ((1, 1, 12, 11), {"kernel_size": 2, "stride": 3, "dilation": 4}),
    "gather_with_a_row_left": ((2, 1, 8, 6), {"kernel_size": 3, "stride": 2}),
}
LARGE: dict[str, Geometry] = {
    "a_warp_each": ((3, 5, 7, 7), {"kernel_size": 7}),
    "a_warp_of_exactly_one_cell_each": ((2, 5, 4, 8), {"kernel_size": (4, 8)}),
    "a_warp_overlapping": ((1, 2, 9, 11), {"kernel_size": 6, "stride": (1, 2), "padding": 2}),
    "a_warp_ceil": ((1, 2, 13, 12), {"kernel_size": 7, "stride": 4, "ceil_mode": True}),
    "a_block_each": ((2, 2, 33, 40), {"kernel_size": (33, 40)}),
    "a_block_padded": (
        (1, 2, 35, 36),
        {"kernel_size": 34, "stride": 3, "padding": ((9, 2), (0, 30))},
    ),
}
MANY: Geometry = ((2, 3, 34, 38), {"kernel_size": 2})
MANY_OVERLAPPING: Geometry = ((1, 2, 21, 23), {"kernel_size": 3, "stride": 2, "padding": 1})
MANY_SCATTERED: Geometry = ((2, 3, 34, 39), {"kernel_size": 2})


def check_cells_left(ops: PoisonedOps, dtype: str = "float32") -> None:
    """Every cell of dx is written, also where no window reaches or wins."""
    for shape, kw in COVERED_IN_PART.values():
        for tie_break in TIE_BREAKS:
            check_max(ops, values(shape, dtype, "ties"), kw, tie_break)
        if "dilation" not in kw:
            for include_pad in (True, False):
                check_avg(ops, normal(shape, dtype), kw, include_pad)
        if not {"dilation", "padding", "ceil_mode"} & kw.keys():
            check_lp(ops, normal(shape, dtype), kw, 3)


def test_cells_that_no_window_covers(dtype: str) -> None:
    check_cells_left(poisoned(), dtype)


@pytest.mark.parametrize("kind", ["ties", "nan", "minus_infinity"])
@pytest.mark.parametrize("name", COVERED_IN_PART)
def test_winners_on_every_path(dtype: str, name: str, kind: str) -> None:
    shape, kw = COVERED_IN_PART[name]
    for tie_break in TIE_BREAKS:
        check_max(poisoned(), values(shape, dtype, kind), kw, tie_break)


def check_blocks(ops: PoisonedOps, dtype: str = "float32") -> None:
    """More windows and more cells than one block has threads."""
    for shape, kw in (MANY, MANY_OVERLAPPING, MANY_SCATTERED):
        check_max(ops, values(shape, dtype, "ties"), kw)
    shape, kw = MANY_OVERLAPPING
    for include_pad in (True, False):
        check_avg(ops, normal(shape, dtype), kw, include_pad)
    shape, kw = MANY_SCATTERED
    check_lp(ops, normal(shape, dtype), kw, 1.5)


@pytest.mark.parametrize("blocks", [pooling.GRID_STRIDE_BLOCKS, 2, 1])
def test_more_than_one_block_and_one_grid(
    dtype: str, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "GRID_STRIDE_BLOCKS", blocks)
    check_blocks(poisoned(), dtype)


def check_large_windows(ops: PoisonedOps, dtype: str = "float32") -> None:
    """Windows that a warp or a block sums."""
    for shape, kw in LARGE.values():
        x, pool = normal(shape, dtype), Pool(shape, **kw)
        for include_pad in (True, False):
            y = ops.avg_pool2d_forward(x, **kw, count_include_pad=include_pad)
            magnitude = pool.avg_forward(abs(x), include_pad)
            terms = int(np.prod(pool.kernel)) + 1
            assert_close(y, pool.avg_forward(x, include_pad), terms=terms, magnitude=magnitude)


def test_large_windows(dtype: str) -> None:
    check_large_windows(poisoned(), dtype)


def check_hazards(ops: PoisonedOps, dtype: str = "float32") -> None:
    """Of every pool: strides of 2 and 3, dilation, overlap, ties, NaN, batches of 0 and 1."""
    for shape, kw in (SHAPES | DILATED).values():
        for kind in ("ties", "nan"):
            for tie_break in TIE_BREAKS:
                check_max(ops, values(shape, dtype, kind), kw, tie_break)
        if "dilation" not in kw:
            for include_pad in (True, False):
                check_avg(ops, normal(shape, dtype), kw, include_pad)
        if not {"dilation", "padding", "ceil_mode"} & kw.keys():
            for p in (1, 2, 3):
                check_lp(ops, normal(shape, dtype), kw, p)


@pytest.mark.parametrize(
    "check",
    [check_cells_left, check_blocks, check_large_windows, check_hazards],
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_every_access_is_sound(
    check: Callable[[PoisonedOps, str], None], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access out of bounds or uninitialised, and no race, of two blocks that take turns."""
    monkeypatch.setattr(pooling, "GRID_STRIDE_BLOCKS", 2)
    check(poisoned(checked=True), dtype)


def passes(ops: PoisonedOps, dtype: str) -> list[np.ndarray]:
    """The results of every pool over some of the geometries."""
    results = []
    for shape, kw in (MANY, MANY_OVERLAPPING, MANY_SCATTERED, LARGE["a_warp_each"]):
        x = shifted(normal(shape, dtype)) if isinstance(ops, ShiftedOps) else normal(shape, dtype)
        y, argmax = ops.max_pool2d_forward(x, **kw)
        results += [y, argmax, ops.max_pool2d_backward(y, argmax, shape, **kw)]
        dy = normal(y.shape, dtype, 1)
        results.append(ops.max_pool2d_backward(dy, argmax, shape, **kw, relu_y=y))
        y = ops.avg_pool2d_forward(x, **kw)
        results += [y, ops.avg_pool2d_backward(y, shape, **kw)]
        if "padding" not in kw:
            y = ops.lp_pool2d_forward(x, **kw, p=3)
            results += [y, ops.lp_pool2d_backward(y, x, y, **kw, p=3)]
    return results


@pytest.mark.parametrize("order", [None, 1, 2])
def test_the_same_bits_in_any_order_of_blocks(dtype: str, order: int | None) -> None:
    shuffled = poisoned(block_order=order)
    assert_same_bits(passes(poisoned(), dtype), passes(shuffled, dtype))


def test_arrays_that_begin_between_vectors(dtype: str) -> None:
    assert_same_bits(passes(poisoned(), dtype), passes(ShiftedOps(EmulatorLauncher()), dtype))


@pytest.mark.parametrize("name", [*SHAPES, *DILATED])
def test_max_pools_agree_with_the_cpu(dtype: str, name: str) -> None:
    """Not within rounding, but in every bit where no sum is taken."""
    shape, kw = (SHAPES | DILATED)[name]
    x = values(shape, dtype, "nan")
    for tie_break in TIE_BREAKS:
        y, argmax = poisoned().max_pool2d_forward(x, **kw, tie_break=tie_break)
        expected = NumpyOps().max_pool2d_forward(x, **kw, tie_break=tie_break)
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(argmax, expected[1])


def test_the_paths_are_those_the_names_say() -> None:
    """Else a geometry above would test another kernel than it was made for."""
    symbols = []

    class Spy(PoisonedOps):
        def _launch(self, *args: Any, symbol: str | None = None, **kw: Any) -> None:
            symbols.append(symbol)
            super()._launch(*args, symbol=symbol, **kw)

    ends = {"pairs": "_2x2", "scatter": "_scatter", "gather": "max_pool2d_backward"}
    for name, (shape, kw) in COVERED_IN_PART.items():
        ops = Spy(EmulatorLauncher())
        y, argmax = ops.max_pool2d_forward(normal(shape, "float32"), **kw)
        ops.max_pool2d_backward(y, argmax, shape, **kw)
        assert symbols[-1].endswith(ends[name.split("_")[0]]), name
