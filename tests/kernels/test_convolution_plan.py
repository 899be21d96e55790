"""The host's choices for the convolutions: tiles, slices of a sum, and what is built ahead."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.kernels import conv_plan
from gpucnn.ops.kernels.base import SCALARS
from gpucnn.ops.kernels.conv_plan import (
    DEPTHWISE_KERNELS,
    DIRECT_FILTERS_A_THREAD,
    ConvPlan,
    Operation,
    candidates,
    plan,
    split,
    through_registers,
)
from gpucnn.ops.kernels.conv_tiles import MULTIPROCESSORS, TILES, choose_tile
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.registry import VARIANTS


@given(
    total=st.integers(0, 2**31 - 1),
    blocks=st.integers(1, 10**6),
    quantum=st.sampled_from([128, 1024]),
    part=st.integers(4, 2**31),
)
def test_slices_cover_the_sum_once(total: int, blocks: int, quantum: int, part: int) -> None:
    slices, length = split(total, blocks, quantum, part)
    assert slices >= 1
    assert length >= 1
    assert (slices - 1) * length < max(1, total) <= max(1, slices * length)
    assert slices == 1 or slices * part <= conv_plan.WORKSPACE_BYTES
    assert slices == 1 or length >= quantum


CONVOLUTIONS = yaml.safe_load(
    (Path(conv_plan.__file__).parents[3] / "configs/benchmark_shapes.yaml").read_text()
)["convolutions"]
OPERATIONS: tuple[Operation, ...] = (
    "conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"
)  # fmt: skip


def shape_of(name: str) -> Conv2dShape:
    n, c, h, w, k, r, s, *geometry = CONVOLUTIONS[name]
    keys = ("stride", "padding", "dilation", "groups")
    settings = dict(zip(keys, geometry, strict=True))
    return Conv2dShape.of((n, c, h, w), (k, c // settings["groups"], r, s), **settings)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_plan_covers_the_product_once(name: str, dtype: str, operation: Operation) -> None:
    """Every candidate: enough blocks, none without work; the order of the sums is the first's."""
    shape = shape_of(name)
    first = plan(operation, shape, dtype)
    for found in candidates(first, dtype):
        assert (found.kind, found.slices, found.length) == (first.kind, first.slices, first.length)
        assert (found.math, found.layout) == ("fp32", "nchw")
        if found.kind == "depthwise":
            continue
        high, wide = block_of(found)
        tiles = -(-found.rows // high) * -(-found.columns // wide)
        assert found.blocks == found.slices * found.products * tiles
        assert found.macros in macros_of(found.symbol, dtype)
    # The phases of a stride may have rows and columns beyond the input's.
    outputs = {
        "conv2d_forward": shape.n * shape.k * shape.p * shape.q,
        "conv2d_backward_input": shape.n * shape.c * shape.h * shape.w,
        "conv2d_backward_weight": shape.k * shape.c // shape.groups * shape.r * shape.s,
    }
    if first.kind != "depthwise":
        assert first.products * first.rows * first.columns >= outputs[operation]


def block_of(found: ConvPlan) -> tuple[int, int]:
    if found.tile is not None:
        return found.tile.m, found.tile.n
    wide = conv_plan.DIRECT_TAPS if "weight" in found.operation else conv_plan.DIRECT_COLUMNS
    return found.filters or found.rows, wide


def test_how_many_candidates() -> None:
    """Every tile in every number of stages, once; one kernel where there is nothing to choose."""
    counts = {
        (name, operation): len(
            set(candidates(plan(operation, shape_of(name), "float32"), "float32"))
        )
        for name in ("rn2", "dw1", "mn1", "gr1")
        for operation in OPERATIONS
    }
    assert [counts["rn2", operation] for operation in OPERATIONS] == [15, 15, 15]
    assert [counts["dw1", operation] for operation in OPERATIONS] == [1, 1, 2]
    assert [counts["mn1", operation] for operation in OPERATIONS] == [2, 1, 15]
    assert [counts["gr1", operation] for operation in OPERATIONS] == [2, 1, 2]


def test_two_stages_without_asynchronous_copies() -> None:
    class Watcher(EmulatorLauncher):
        stages = ""

        def launch(self, kernel: Kernel, *args: Any, **options: Any) -> None:
            self.stages = dict(kernel.macros)["STAGES"]

    launcher = Watcher()
    x, w = np.zeros((1, 5, 4, 4), "float32"), np.zeros((6, 5, 1, 1), "float32")
    for asynchronously, stages in ((True, "3"), (False, "2")):
        launcher.copies_asynchronously = asynchronously
        KernelOps(launcher).conv2d_forward(x, w)
        assert launcher.stages == stages


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_without_asynchronous_copies_the_order_of_the_sums_stays(
    name: str, operation: Operation
) -> None:
    first = plan(operation, shape_of(name), "float32")
    found = through_registers(first, "float32")
    assert found.stages == 2
    assert found in set(candidates(first, "float32"))
    assert found.blocks == first.blocks


@pytest.mark.parametrize("name", [n for n, shape in CONVOLUTIONS.items() if shape[-1] == 1])
def test_the_weight_gradient_of_the_benchmarks_fills_the_gpu(name: str) -> None:
    """The five tiles of dw of 64 → 64 3x3 alone would leave it idle."""
    shape = shape_of(name)
    found = plan("conv2d_backward_weight", shape, "float32")
    # A multiprocessor has no more than its share of the blocks, but for the one that is not whole.
    busiest = -(-found.blocks // MULTIPROCESSORS)
    assert found.blocks >= 0.72 * busiest * MULTIPROCESSORS
    part = shape.k * shape.c * shape.r * shape.s * 4
    assert found.slices * part <= conv_plan.WORKSPACE_BYTES
    assert found.length >= 128


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (256, 131072, (128, 128)),
        (64, 200704, (64, 128)),
        # 130 blocks, one a multiprocessor: half as many twice as large would take longer.
        (64, 130 * 64, (32, 128)),
        # Rows that fill a tile: 32 or 64 would be multiplied with zeros.
        (16, 131072, (16, 128)),
        (32, 131072, (32, 128)),
        # All blocks run at once whatever their size: the smallest is done first.
        (40, 900, (32, 64)),
    ],
)
def test_the_tile_follows_from_the_shape(rows: int, columns: int, tile: tuple[int, int]) -> None:
    chosen = choose_tile("float32", rows, columns, 1)
    assert (chosen.m, chosen.n) == tile


def test_the_tile_of_a_first_layers_weight_gradient() -> None:
    """64 filters of 27 taps: columns beyond them would be multiplied for nothing."""
    chosen = choose_tile("float32", 64, 27, 1, split=True)
    assert (chosen.m, chosen.n) == (64, 32)


@pytest.mark.parametrize("symbol", sorted(name for name in VARIANTS if "conv2d" in name))
def test_the_registry_has_what_is_launched(symbol: str) -> None:
    """What is built ahead, reported and held to the budget is what the host chooses among."""
    for dtype, scalar in SCALARS.items():
        chosen = macros_of(symbol, dtype)
        listed = [tuple((n, int(v)) for n, v in macros) for macros in VARIANTS[symbol][scalar]]
        assert listed == chosen


def macros_of(symbol: str, dtype: str) -> list[tuple[tuple[str, int], ...]]:
    if symbol in DIRECT_FILTERS_A_THREAD:
        return [(("FILTERS", a_thread),) for a_thread in DIRECT_FILTERS_A_THREAD[symbol]]
    if symbol.endswith("_direct"):
        return [()]
    if symbol.endswith("_depthwise"):
        return [(("KERNEL", size),) for size in (0, *DEPTHWISE_KERNELS[dtype])]
    return [(*tile.macros, ("STAGES", stages)) for tile in TILES[dtype] for stages in tile.stages]
