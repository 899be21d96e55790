"""Faults of the convolutions' other kernels: few channels a group, depthwise, the bias."""

from collections.abc import Callable

from gpucnn.ops.base import Ops
from tests.kernels import test_convolution as kernels
from tests.kernels.faults.convolution import faults, on


def bias(*shape: int) -> Callable[[Ops], None]:
    return lambda ops: kernels.check_bias(ops, shape)


FAULTS = [
    *faults(
        "conv_direct.cuh",
        (
            "no barrier before the next taps",
            "if (first) __syncthreads();",
            "",
            on("direct_98_taps"),
            "racecheck",
        ),
        (
            "no barrier between taps and weights",
            "first + threadIdx.x);\n        __syncthreads();",
            "first + threadIdx.x);",
            on("direct_36_taps"),
            "racecheck",
        ),
        (
            "no barrier between weights and sums",
            ": scalar_t(0);\n        __syncthreads();",
            ": scalar_t(0);",
            on("direct_36_taps"),
            "racecheck",
        ),
        (
            "a tap not staged",
            "if (threadIdx.x < count)",
            "if (threadIdx.x + 1 < count)",
            on("direct_36_taps"),
            "memcheck",
        ),
        (
            "taps of the first stage again",
            "tap(digits(first + threadIdx.x, middles",
            "tap(digits(threadIdx.x, middles",
            on("direct_98_taps"),
        ),
        (
            "weights of a row too many",
            "row < rows ? a",
            "row < rows + 1 ? a",
            on("direct_36_taps"),
            "memcheck",
        ),
        ("sums not begun", "sum[row] = 0;", "sum[row] = 1;", on("direct_36_taps")),
    ),
    *faults(
        "conv2d_forward",
        (
            "weights of the first group",
            "conv_direct(tile, sum, w, first, depth",
            "conv_direct(tile, sum, w, row0, depth",
            on("direct_groups"),
        ),
        (
            "a pixel beyond the last written",
            "if (pixel >= pixels) return;",
            "",
            on("direct_36_taps"),
            "memcheck",
        ),
        (
            "a filter beyond the group's",
            "if (row0 + f < filters) y",
            "if (row0 + f <= filters) y",
            on("direct_groups"),
            "memcheck",
        ),
        ("channel of another filter", "k / multiplier", "k % d.c", on("depthwise_multiplier_2")),
        (
            "outputs of a strip side by side",
            "h + o * d.stride_h;",
            "h + o;",
            on("depthwise_stride_2"),
        ),
        ("rows below the last", "if (p + o < d.p) y", "y", on("depthwise_stride_2"), "memcheck"),
        (
            "strips that are not whole left out",
            "strips = ceil_div(d.p, kStrip)",
            "strips = d.p / kStrip",
            on("depthwise_tall"),
        ),
        (
            "a column of the padding read",
            "uint32(column) >= uint32(d.w)",
            "uint32(column) > uint32(d.w)",
            on("depthwise_dilated_5x5"),
            "memcheck",
        ),
    ),
    *faults(
        "conv2d_backward_input",
        (
            "direct cells of the first phase",
            "work = work_of(d, blockIdx.x, kDirectThreads)",
            "work = work_of(d, 0, kDirectThreads)",
            on("direct_strided"),
            "racecheck",
        ),
        (
            "a cell beyond the last written",
            "if (cell.n >= d.n) return;\n    const uint32 base",
            "const uint32 base",
            on("direct_36_taps"),
            "memcheck",
        ),
        (
            "channels of the group before",
            "base + (work.group * channels + c) * plane",
            "base + c * plane",
            on("direct_groups"),
            "racecheck",
        ),
        (
            "a channel beyond the group's",
            "if (c < channels) dx",
            "dx",
            on("direct_groups"),
            "memcheck",
        ),
        (
            "one filter a channel",
            "k < (c + 1) * multiplier",
            "k < c * multiplier + 1",
            on("depthwise_multiplier_2"),
        ),
        (
            "strips a row apart",
            "strip / phases * kStrip * stride",
            "strip / phases * kStrip",
            on("depthwise_stride_2"),
            "racecheck",
        ),
        (
            "cells below the last",
            "if (row + o * stride < d.h) dx",
            "dx",
            on("depthwise_5x5"),
            "memcheck",
        ),
        (
            "one delta for all cells of a strip",
            "p = v.origin + o - r * v.back",
            "p = v.origin - r * v.back",
            on("depthwise_dilated_5x5"),
        ),
    ),
    *faults(
        "conv2d_backward_weight",
        (
            "threads that share pixels",
            "i += DIRECT_THREADS",
            "i += DIRECT_THREADS - 1",
            on("split_depthwise"),
            "memcheck",
        ),
        (
            "pixels that are not counted up",
            "        count_up(pixel, step, d.p, d.q);\n",
            "",
            on("split_depthwise"),
        ),
        (
            "a slice too long",
            "last = min(first + slice, pixels)",
            "last = min(first + slice + 1, pixels)",
            on("split_direct"),
        ),
        (
            "a filter beyond the group's",
            "row0 + f < filters && col0",
            "col0",
            on("split_direct"),
            "memcheck",
        ),
        (
            "deltas of one filter",
            "dy[at.a + (row + f) * pq]",
            "dy[at.a + row * pq]",
            on("split_direct"),
        ),
        (
            "channels of the first group",
            "pixel_tap(d, pixel, group * channels)",
            "pixel_tap(d, pixel, 0)",
            on("split_direct"),
        ),
        (
            "sums of single threads",
            "total = block_sum(sum[f][j], scratch)",
            "total = sum[f][j]",
            on("split_direct"),
        ),
        (
            "sums not begun at 0",
            "sum[f][i] = 0;",
            "sum[f][i] = 1;",
            on("split_direct"),
        ),
    ),
    *faults(
        "conv2d_backward_bias",
        ("the next image not reached", "            ++image;\n", "", bias(3, 2, 27, 29)),
        ("one image a step", "images = THREADS / pixels", "images = 1", bias(300, 3, 1, 1)),
        ("slices overlap", "min(first + slice,", "min(first + slice + 1,", bias(3, 2, 27, 29)),
        ("sums of single threads", "sum = block_sum(sum, scratch);", "", bias(9, 3, 16, 16)),
        (
            "the first part alone",
            "sum += parts[uint32(slice) * k + i]",
            "sum = parts[i]",
            bias(3, 2, 27, 29),
        ),
    ),
]
