"""Faults of the pools."""

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from tests.kernels.devices import PoisonedOps
from tests.kernels.faults import Fault
from tests.kernels.test_pooling import (
    COVERED_IN_PART,
    LARGE,
    MANY,
    MANY_OVERLAPPING,
    MANY_SCATTERED,
)
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

ALL = SHAPES | DILATED | COVERED_IN_PART


def poisoned(ops: Ops) -> PoisonedOps:
    """The same device, its fresh arrays poisoned."""
    assert isinstance(ops, KernelOps)
    return PoisonedOps(ops.launcher)


def max_pool(ops: Ops, *names: str, kinds: tuple[str, ...] = ("ties",)) -> None:
    for name in names:
        shape, kw = ALL[name]
        for kind in kinds:
            for tie_break in TIE_BREAKS:
                check_max(poisoned(ops), values(shape, "float32", kind), kw, tie_break)


def max_windows(ops: Ops) -> None:
    max_pool(ops, "rectangular", "asymmetric", kinds=("ties", "nan"))


def max_negative(ops: Ops) -> None:
    max_pool(ops, "rectangular", kinds=("negative",))


def max_pairs(ops: Ops) -> None:
    names = ("pairs", "pairs_with_a_row_left", "pairs_with_half_a_window")
    max_pool(ops, *names, kinds=("ties", "nan"))


def max_dilated(ops: Ops) -> None:
    max_pool(ops, "dilated", "dilated_pair")


def max_gather(ops: Ops) -> None:
    max_pool(ops, "overlap_by_one", "dilated", "asymmetric", "gather_with_gaps")


def max_usual(ops: Ops) -> None:
    max_pool(ops, "overlap", "padded", "dilated_pair", "dilated_padded")


def max_usual_rows(ops: Ops) -> None:
    kw = {"kernel_size": 3, "stride": (2, 1)}
    check_max(poisoned(ops), values((1, 2, 7, 6), "float32", "ties"), kw)


def max_scatter(ops: Ops) -> None:
    max_pool(ops, "scatter_with_a_column_left", "scatter_padded", "scatter_dilated")


def avg_pool(ops: Ops) -> None:
    for name in ("asymmetric", "ceil_asymmetric", "rectangular", "stride_over_kernel"):
        shape, kw = SHAPES[name]
        for include_pad in (True, False):
            check_avg(poisoned(ops), normal(shape, "float32"), kw, include_pad)


def avg_large(ops: Ops) -> None:
    for name in ("a_warp_each", "a_warp_overlapping", "a_block_each"):
        shape, kw = LARGE[name]
        x, pool = normal(shape, "float32"), Pool(shape, **kw)
        y = poisoned(ops).avg_pool2d_forward(x, **kw)
        terms = int(np.prod(pool.kernel)) + 1
        assert_close(y, pool.avg_forward(x), terms=terms, magnitude=pool.avg_forward(abs(x)))


def lp_pool(ops: Ops) -> None:
    for name in ("rectangular", "stride_over_kernel"):
        shape, kw = SHAPES[name]
        x = normal(shape, "float32")
        x[abs(x) < 0.4] = 0
        for p in (1, 2, 3):
            check_lp(poisoned(ops), x, kw, p)


def lp_extremes(ops: Ops) -> None:
    for scale in (np.finfo("float32").max / 8, np.finfo("float32").tiny * 8):
        x = np.asarray([[[[1, -1, 0.5, 0], [1, 1, -1, 0]]]], "float32") * np.float32(scale)
        check_lp(poisoned(ops), x, {"kernel_size": 2}, 3)


def lp_zeros(ops: Ops) -> None:
    check_lp(poisoned(ops), np.zeros((1, 1, 2, 4), "float32"), {"kernel_size": 2}, 2)


def avg_overlapping(ops: Ops) -> None:
    """An image that is not square, and more cells than a block has threads."""
    shape, kw = MANY_OVERLAPPING
    check_avg(poisoned(ops), normal(shape, "float32"), kw, True)


def lp_overlapping(ops: Ops) -> None:
    check_lp(poisoned(ops), normal((1, 2, 21, 23), "float32"), {"kernel_size": 3, "stride": 2}, 2)


def lp_blocks(ops: Ops) -> None:
    """More windows than a block has threads."""
    shape, kw = MANY_SCATTERED
    check_lp(poisoned(ops), normal(shape, "float32"), kw, 2)


def max_blocks(ops: Ops) -> None:
    """More windows than a block has threads."""
    for shape, kw in (MANY, MANY_OVERLAPPING, MANY_SCATTERED):
        check_max(poisoned(ops), values(shape, "float32", "ties"), kw)


TURN, BLOCK_TURN = "i += gridDim.x * blockDim.x", "i += blockDim.x"
FORWARD, BACKWARD = "max_pool2d_forward", "max_pool2d_backward"
FAULTS = [
    Fault(FORWARD, "dilation left out of the rows", "s.dilation_h * s.w, s.kernel_w",
          "s.w, s.kernel_w", max_dilated),
    Fault(FORWARD, "places by rows of another length", "s.dilation_h * s.w, s.kernel_w",
          "s.dilation_h * s.w, s.kernel_h", max_windows),
    Fault(FORWARD, "no window begun", "Winner best = {*first, first_place};",
          "Winner best = {scalar_t(0), first_place};", max_negative),
    Fault(BACKWARD, "rows of another length", "(at.plane * s.p + p) * s.q + q",
          "(at.plane * s.p + p) * s.p + q", max_blocks),
    Fault(BACKWARD, "sums not begun at 0", "scalar_t sum = 0;", "scalar_t sum;", max_gather),
    Fault(BACKWARD, "scatter: a cell too many", "row = rows.low; row < rows.high",
          "row = rows.low; row <= rows.high", max_scatter, "racecheck"),
    Fault("avg_pool2d_forward", "sums not begun at 0", "scalar_t sum = 0;\n        for (int a",
          "scalar_t sum;\n        for (int a", avg_pool),
    Fault("avg_pool2d_forward", "windows of every block", TURN, BLOCK_TURN,
          avg_overlapping, "racecheck"),
    Fault("avg_pool2d_backward", "rows of another length", "(at.plane * s.p + p) * s.q + q",
          "(at.plane * s.p + p) * s.p + q", avg_overlapping),
    Fault("avg_pool2d_backward", "cells of every block", TURN, BLOCK_TURN,
          avg_overlapping, "racecheck"),
    Fault("avg_pool2d_backward", "a cell too many", "i < uint32(count)", "i <= uint32(count)",
          avg_pool, "memcheck"),
    Fault("avg_pool2d.cuh", "the leading padding left out", "size + after - start", "size + after",
          avg_pool),
    Fault("lp_pool2d_forward", "the last power alone", "sum += power", "sum = power", lp_pool),
    Fault("lp_pool2d_forward", "windows of every block", TURN, BLOCK_TURN, lp_blocks, "racecheck"),
    Fault("lp_pool2d_forward", "a window too many", "i < uint32(count)", "i <= uint32(count)",
          lp_pool, "memcheck"),
    Fault("lp_pool2d_backward", "windows overwrite", "sum += dy", "sum = dy", lp_overlapping),
    Fault("lp_pool2d_backward", "the last covering row left out", "p <= rows.high",
          "p < rows.high", lp_overlapping),
    Fault("lp_pool2d_backward", "rows of another length", "(at.plane * s.p + p) * s.q + q",
          "(at.plane * s.p + p) * s.p + q", lp_overlapping),
    Fault("lp_pool2d_backward", "sums not begun at 0", "scalar_t sum = 0;", "scalar_t sum;",
          lp_pool),
    Fault(FORWARD, "the last of equals wins", "!(value <= best.value)", "!(value < best.value)",
          max_windows),
    Fault(FORWARD, "a later NaN wins", " && best.value == best.value", "", max_windows),
    Fault(FORWARD, "NaN loses", "!(value <= best.value)", "value > best.value", max_windows),
    Fault(FORWARD, "rows before columns always", "if (column_major) {", "if (false) {",
          max_windows),
    Fault(FORWARD, "places from the first real cell", "rows.tap * s.kernel_w + columns.tap", "0",
          max_windows),
    Fault(FORWARD, "pairs: tie_break not looked at",
          "column_major ? better(best, low.v[0], 2) : better(best, high.v[1], 1)",
          "better(best, high.v[1], 1)", max_pairs),
    Fault(FORWARD, "pairs: the row below the image", "2 * at.row + 1 < s.h ? top + s.w : top",
          "top + s.w", max_pairs, "memcheck"),
    Fault(FORWARD, "pairs: the last cell left out", "better(best, low.v[1], 3)", "best", max_pairs),
    Fault(BACKWARD, "overlapping windows overwrite", "place) sum += delta_of",
          "place) sum = delta_of", max_gather),
    Fault(BACKWARD, "the last covering row left out", "p <= rows.high", "p < rows.high",
          max_gather),
    Fault(BACKWARD, "a cell between two taps", "if (high % s.dilation_h) continue;", "",
          max_gather),
    Fault(BACKWARD, "scatter: padding not cropped", "at.row * s.stride_h - s.pad_top",
          "at.row * s.stride_h", max_scatter),
    Fault(BACKWARD, "scatter: the remainder left", "window == windows - 1 ? size : start + stride",
          "min(size, start + stride)", max_scatter),
    Fault(BACKWARD, "scatter: only the winner written",
          "row == winner_row && column == winner_column ? delta : scalar_t(0);",
          "row == winner_row && column == winner_column ? delta"
          " : dx[(at.plane * s.h + row) * s.w + column];", max_scatter, "initcheck"),
    Fault(BACKWARD, "pairs: the last row left", "if (at.row == s.p - 1 && 2 * s.p < s.h)",
          "if (false)", max_pairs),
    Fault(BACKWARD, "pairs: the row below the image", "if (2 * at.row + 1 < s.h)", "if (true)",
          max_pairs, "racecheck"),
    Fault("pooling.cuh", "a window over the cell too many", "(position - extent) / stride + 1",
          "(position - extent) / stride", max_gather),
    Fault("pooling.cuh", "windows past the last", "min(windows - 1, position / stride)",
          "position / stride", max_gather, "memcheck"),
    Fault("pooling.cuh", "padding read as cells", "start < 0 ? (-start - 1) / dilation + 1 : 0",
          "0",
          max_windows, "memcheck"),
    Fault("pooling.cuh", "taps past the edge",
          "min(kernel - tap, (size - 1 - first) / dilation + 1)",
          "kernel - tap", max_windows, "memcheck"),
    Fault("pooling.cuh", "a usual stride, whatever the dilation",
          " && s.dilation_h == 1 && s.dilation_w == 1", "", max_usual),
    Fault("pooling.cuh", "a usual stride on one axis", "s.stride_h == 2 && s.stride_w == 2",
          "s.stride_h == 2", max_usual_rows),
    Fault("avg_pool2d.cuh", "the padded cells past the edge", "min(kernel, left)", "kernel",
          avg_pool),
    Fault("avg_pool2d.cuh", "count_include_pad upside down", "return include_pad ?",
          "return !include_pad ?", avg_pool),
    Fault("avg_pool2d_forward", "rows of the window, not of x", "first[a * s.w + b]",
          "first[a * s.kernel_w + b]", avg_pool),
    Fault("avg_pool2d_forward", "large: cells counted by several warps", "cell += blockDim.x",
          "cell += 32", avg_large),
    Fault("avg_pool2d_forward", "large: one warp's sum of a block's",
          "blockDim.x == 32 ? warp_sum(sum) : block_sum(sum, scratch)", "warp_sum(sum)", avg_large),
    Fault("avg_pool2d_forward", "large: windows past the last", "if (i >= uint32(count)) return;",
          "",
          avg_large, "memcheck"),
    Fault("avg_pool2d_backward", "the last covering column left out", "q <= columns.high",
          "q < columns.high", avg_pool),
    Fault("avg_pool2d_backward", "windows overwrite", "sum += dy[", "sum = dy[", avg_pool),
    Fault("avg_pool2d_backward", "the whole window's divisor", "divisor(s, p, q, include_pad)",
          "(s.kernel_h * s.kernel_w)", avg_pool),
    Fault("lp_pool2d_forward", "the powers overflow", "largest > scalar_t(0) && isfinite(largest)",
          "false", lp_extremes),
    Fault("lp_pool2d_forward", "not scaled back", "scale * power(sum", "power(sum", lp_pool),
    Fault("lp_pool2d_forward", "the smallest taken out", "size > largest",
          "size < largest || largest == 0", lp_extremes),
    Fault("lp_pool2d_backward", "the sign dropped", "* sign * power", "* power", lp_pool),
    Fault("lp_pool2d_backward", "a gradient where y = 0",
          "if (y[window] == scalar_t(0)) continue;", "", lp_zeros),
    Fault("lp_pool2d_backward", "one power too many", "exponent - scalar_t(1)", "exponent",
          lp_pool),
]  # fmt: skip
