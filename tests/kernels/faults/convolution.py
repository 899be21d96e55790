"""Faults of the convolutions' kernels."""

from collections.abc import Callable

from gpucnn.ops.base import Ops
from tests.kernels import test_convolution as kernels
from tests.kernels.faults import Fault

Change = tuple[str, str, str, Callable[[Ops], None]]


def on(name: str) -> Callable[[Ops], None]:
    """All three passes of a geometry."""
    geometry = (kernels.TILED | kernels.FEW | kernels.SPLIT)[name]
    return lambda ops: kernels.check_all(ops, geometry)


def bias(*shape: int) -> Callable[[Ops], None]:
    return lambda ops: kernels.check_bias(ops, shape)


def faults(kernel: str, *changes: Change) -> list[Fault]:
    return [Fault(kernel, *change) for change in changes]


FAULTS = [
    *faults(
        "conv_tile.cuh",
        (
            "no barrier between taps and loads",
            "    __syncthreads();\n    load(0);",
            "    load(0);",
            on("less_than_a_tile"),
        ),
        (
            "no barrier between tiles",
            "first + (i + 2) * TILE_K);\n        __syncthreads();",
            "first + (i + 2) * TILE_K);",
            on("less_than_a_tile"),
        ),
        (
            "taps one tile late",
            "first + (i + 2) * TILE_K",
            "first + (i + 1) * TILE_K",
            on("less_than_a_tile"),
        ),
        ("the tile written that is read", "store(buffer ^ 1)", "store(buffer)", on("stride_2")),
        ("a tap beyond the last", "k + t < last ?", "k + t <= last ?", on("less_than_a_tile")),
        (
            "a row beyond the last",
            "a_offset >= 0 ? rows - row0",
            "a_offset >= 0 ? rows + 1 - row0",
            on("less_than_a_tile"),
        ),
        (
            "a row of the padding read",
            "uint32(col.h + at.h) < uint32(height)",
            "uint32(col.h + at.h) <= uint32(height)",
            on("less_than_a_tile"),
        ),
        (
            "sums not begun at 0",
            "sum[i][j] = scalar_t(0);",
            "sum[i][j] = scalar_t(1);",
            on("less_than_a_tile"),
        ),
    ),
    *faults(
        "conv2d_forward",
        ("dilation left out", "k % rs / d.s * d.dilation_h", "k % rs / d.s", on("dilation")),
        (
            "padding of the columns left out",
            " - d.pad_left;\n    return",
            ";\n    return",
            on("less_than_a_tile"),
        ),
        (
            "channels of the first group",
            "group * channels) * d.h * d.w, d.h",
            "0) * d.h * d.w, d.h",
            on("groups"),
        ),
        ("bias of the first filter", "sum += b[k]", "sum += b[0]", on("groups")),
        ("relu where there is none", "relu && sum", "!relu && sum", on("less_than_a_tile")),
        (
            "no barrier before the next weights",
            "if (first) __syncthreads();",
            "",
            on("direct_98_taps"),
        ),
        (
            "a tap not staged",
            "threadIdx.x < count) taps",
            "threadIdx.x + 1 < count) taps",
            on("direct_36_taps"),
        ),
        ("channel of another filter", "k / multiplier", "k % d.c", on("depthwise_multiplier_2")),
    ),
    *faults(
        "conv2d_backward_input",
        (
            "kernel not turned",
            "uint32(k) * d.p * d.q + uint32(h) * d.q + q, h, q,",
            "uint32(k) * d.p * d.q - uint32(h) * d.q - q, -h, -q,",
            on("less_than_a_tile"),
        ),
        (
            "phase without the padding",
            "(cell + pad - r * dilation) / stride",
            "(cell - r * dilation) / stride",
            on("stride_2"),
        ),
        ("every row a phase's", "v.cell + cell.i * d.stride_h", "v.cell + cell.i", on("stride_2")),
        ("taps a stride apart", "step = stride / a", "step = stride", on("dilation_and_stride")),
        (
            "no barrier after the phase",
            "    __syncthreads();\n    // The phase",
            "    // The phase",
            on("stride_2"),
        ),
        (
            "rows of the output from 0 on",
            "h = v.origin + cell.i",
            "h = cell.i",
            on("stride_3"),
        ),
        (
            "one filter a channel",
            "k < (c + 1) * multiplier",
            "k < c * multiplier + 1",
            on("depthwise_multiplier_2"),
        ),
    ),
    *faults(
        "conv2d_backward_weight",
        (
            "slices of one more",
            "min(first + slice, pixels),\n",
            "min(first + slice + 1, pixels),\n",
            on("split_3"),
        ),
        ("all slices in one part", "parts + part * d.k * depth", "parts", on("split_3")),
        (
            "the last slice not added",
            "slice < slices; ++slice) sum += parts",
            "slice < slices - 1; ++slice) sum += parts",
            on("split_3"),
        ),
        (
            "deltas of the first group",
            "dy + uint32(group * filters + row0)",
            "dy + uint32(row0)",
            on("groups"),
        ),
        (
            "no barrier after the geometry",
            "geometry = d;\n    __syncthreads();",
            "geometry = d;",
            on("less_than_a_tile"),
        ),
        ("stride left out", "int(rest / d.q) * d.stride_h", "int(rest / d.q)", on("stride_2")),
        (
            "threads that share pixels",
            "pixel += DEPTHWISE_THREADS",
            "pixel += DEPTHWISE_THREADS - 1",
            on("split_depthwise"),
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
