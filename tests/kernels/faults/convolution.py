"""Faults of the convolutions' tiles, and of the kernels that multiply them."""

from collections.abc import Callable
from typing import cast

from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from tests.kernels import test_convolution as kernels
from tests.kernels.convolution_geometries import FEW, PACKED, SPLIT, TILED
from tests.kernels.faults import Fault

Check = Callable[[Ops], None]
Change = tuple[str, str, str, Check] | tuple[str, str, str, Check, str]


def on(name: str, *, stages: int = 3) -> Check:
    """All three passes of a geometry, by plans of so many stages."""
    geometry = (TILED | PACKED | FEW | SPLIT)[name]

    def check(ops: Ops) -> None:
        # The kernels of a device without asynchronous copies have two stages.
        cast(KernelOps, ops).launcher.copies_asynchronously = stages > 2
        kernels.check_all(ops, geometry)

    return check


def faults(kernel: str, *changes: Change) -> list[Fault]:
    return [Fault(kernel, *change) for change in changes]


PIPELINE: list[Change] = [
    (
        "no barrier between taps and loads",
        "    __syncthreads();\n    load(0);",
        "    load(0);",
        on("less_than_a_tile", stages=2),
        "racecheck",
    ),
    (
        "no barrier between tiles",
        "lows, tap);\n        __syncthreads();",
        "lows, tap);",
        on("less_than_a_tile", stages=2),
        "racecheck",
    ),
    (
        "taps one tile late",
        "first + (i + 2) * TILE_K",
        "first + (i + 1) * TILE_K",
        on("less_than_a_tile", stages=2),
        "memcheck",
    ),
    (
        "the tile written that is read",
        "store(buffer ^ 1)",
        "store(buffer)",
        on("stride_2", stages=2),
        "racecheck",
    ),
    (
        "a row beyond the last",
        "i * rows_apart < here ? a[",
        "i * rows_apart <= here ? a[",
        on("less_than_a_tile", stages=2),
        "memcheck",
    ),
    (
        "a pack's row beyond the last",
        "min(rows, TILE_M) - pack_row",
        "min(rows + 1, TILE_M) - pack_row",
        on("packs_over_tiles", stages=2),
        "memcheck",
    ),
    (
        "packs stored where there are no rows",
        "if (pack_row + i / kVector * pack_rows < TILE_M)\n",
        "",
        on("packs_over_tiles", stages=2),
        "racecheck",
    ),
    (
        "a tile read before it has landed",
        "wait_copies<STAGES - 2>()",
        "wait_copies<STAGES - 1>()",
        on("less_than_a_tile"),
        "racecheck",
    ),
    (
        "no barrier after the wait",
        "        __syncthreads();\n        if (i + STAGES",
        "        if (i + STAGES",
        on("less_than_a_tile"),
        "racecheck",
    ),
    (
        "copies not closed as a group",
        "        commit_copies();  // a",
        "        // a",
        on("less_than_a_tile"),
        "racecheck",
    ),
    (
        "the tile copied over that is read",
        "copy(free)",
        "copy(stage)",
        on("stride_2"),
        "racecheck",
    ),
    (
        "taps of a tile too early",
        "first + (i + STAGES) * TILE_K",
        "first + (i + STAGES - 1) * TILE_K",
        on("stride_2"),
        "memcheck",
    ),
    (
        "a row copied beyond the last",
        "i * rows_apart < here);",
        "i * rows_apart <= here);",
        on("less_than_a_tile"),
        "memcheck",
    ),
]
FAULTS = [
    *faults("conv_pipeline.cuh", *PIPELINE),
    *faults(
        "conv_tile.cuh",
        (
            "a tap beyond the last",
            "if (k + t < last)",
            "if (k + t <= last)",
            on("less_than_a_tile"),
            "memcheck",
        ),
        (
            "the first band of rows alone",
            "band + block % rows",
            "block % rows",
            on("bands_of_rows"),
            "racecheck",
        ),
        (
            "a row of the padding read",
            "uint32(col.h + at.h) < uint32(height)",
            "uint32(col.h + at.h) <= uint32(height)",
            on("less_than_a_tile"),
            "memcheck",
        ),
        (
            "a pack from padded rows",
            "d.p == d.h && ",
            "",
            on("packs_but_over_rows"),
            "memcheck",
        ),
        (
            "packs of planes that are no multiple",
            "d.p * d.q % kVector == 0",
            "true",
            on("pairs_alone"),
            "memcheck",
        ),
        (
            "a row of results beyond the last",
            "if (row >= rows) continue;\n                Pack",
            "Pack",
            on("packs_everywhere"),
            "memcheck",
        ),
        ("one digit not carried", "at.middle -= middles;", "at.middle = 0;", on("stride_2")),
        (
            "the next tap not kept",
            "tile.next[t] = next;",
            "",
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
        ("dilation left out", "at.middle * d.dilation_h", "at.middle", on("dilation")),
        (
            "padding of the columns left out",
            " - d.pad_left;\n    return",
            ";\n    return",
            on("less_than_a_tile"),
        ),
        (
            "channels of the first group",
            "col0 + col, group * channels)",
            "col0 + col, 0)",
            on("groups"),
        ),
        (
            "packs of weights whose rows are not whole",
            "depth % kVector == 0 && aligned(w)",
            "aligned(w)",
            on("less_than_a_tile", stages=2),
            "memcheck",
        ),
        (
            "packs of results over two images",
            "pq, filters - row0, pq % kVector == 0",
            "pq, filters - row0, true",
            on("tile_over_two_images"),
            "memcheck",
        ),
        ("bias of the first filter", "sum + b[k]", "sum + b[0]", on("groups")),
        (
            "relu where there is none",
            "{residual, nullptr, relu != 0},",
            "{residual, nullptr, relu == 0},",
            on("less_than_a_tile"),
        ),
    ),
    *faults(
        "conv2d_backward_input",
        (
            "kernel not turned",
            "(at.high * d.p + h) * d.q + w, h, w,",
            "(at.high * d.p - h) * d.q - w, -h, -w,",
            on("less_than_a_tile"),
        ),
        (
            "phase without the padding",
            "(cell + pad - r * dilation) / stride",
            "(cell - r * dilation) / stride",
            on("stride_2"),
        ),
        (
            "packs of a phase whose cells are apart",
            "d.stride_h * d.stride_w == 1 && plane",
            "plane",
            on("packs_but_strided"),
            "memcheck",
        ),
        (
            "every row a phase's",
            "v.cell + cell.i * d.stride_h",
            "v.cell + cell.i",
            on("stride_2"),
            "racecheck",
        ),
        ("taps a stride apart", "step = stride / a", "step = stride", on("dilation_and_stride")),
        (
            "no barrier after the phase",
            "    __syncthreads();\n    // The phase",
            "    // The phase",
            on("stride_2"),
            "racecheck",
        ),
        (
            "rows of the output from 0 on",
            "h = work.v.origin + cell.i",
            "h = cell.i",
            on("stride_3"),
        ),
    ),
    *faults(
        "conv2d_backward_weight",
        (
            "slices of one more",
            "min(first + slice, pixels), d.p",
            "min(first + slice + 1, pixels), d.p",
            on("split_3"),
        ),
        (
            "all slices in one part",
            "parts, (part * d.k + row) * depth",
            "parts, row * depth",
            on("split_3"),
            "racecheck",
        ),
        (
            "the last slice not added",
            "slice < slices; ++slice) sum += parts",
            "slice < slices - 1; ++slice) sum += parts",
            on("split_3"),
        ),
        (
            "deltas of the first group",
            "tile, sum, dy, row, pq",
            "tile, sum, dy, row0, pq",
            on("groups"),
        ),
        (
            "packs of deltas over two images",
            "pq % kVector == 0 && aligned(dy)",
            "aligned(dy)",
            on("tile_over_two_images", stages=2),
            "memcheck",
        ),
        (
            "packs of results over two rows",
            "depth, filters - row0, depth % kVector == 0",
            "depth, filters - row0, true",
            on("less_than_a_tile"),
            "memcheck",
        ),
        ("stride left out", "at.middle * d.stride_h", "at.middle", on("stride_2")),
    ),
]
