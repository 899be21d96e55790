"""The host's choices for the convolutions: tiles, slices of a sum, and what is built ahead."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.ops.kernels import convolution
from gpucnn.ops.kernels.base import SCALARS
from gpucnn.ops.kernels.convolution import TILES, choose_tile, split
from gpucnn.ops.shapes import Conv2dShape
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
    assert slices == 1 or slices * part <= convolution.WORKSPACE_BYTES
    assert slices == 1 or length >= quantum


CONVOLUTIONS = yaml.safe_load(
    (Path(convolution.__file__).parents[3] / "configs/benchmark_shapes.yaml").read_text()
)["convolutions"]


@pytest.mark.parametrize("name", [n for n, shape in CONVOLUTIONS.items() if shape[-1] == 1])
def test_the_weight_gradient_of_the_benchmarks_fills_the_gpu(name: str) -> None:
    """The five tiles of dw of 64 → 64 3x3 alone would leave it idle."""
    n, c, h, w, k, r, s, *geometry = CONVOLUTIONS[name]
    keys = ("stride", "padding", "dilation", "groups")
    shape = Conv2dShape.of((n, c, h, w), (k, c, r, s), **dict(zip(keys, geometry, strict=True)))
    tile = choose_tile("float32", k, c * r * s, 1, split=True)
    blocks = tile.blocks(k, c * r * s)
    part = k * c * r * s * 4
    slices, length = split(shape.n * shape.p * shape.q, blocks, 128, part)
    # A multiprocessor has no more than its share of the blocks, but for the one that is not whole.
    busiest = -(-slices * blocks // convolution.MULTIPROCESSORS)
    assert slices * blocks >= 0.72 * busiest * convolution.MULTIPROCESSORS
    assert slices * part <= convolution.WORKSPACE_BYTES
    assert length >= 128


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (256, 131072, (128, 128)),
        (64, 200704, (64, 128)),
        # 130 blocks, one a multiprocessor: half as many twice as large would take longer.
        (64, 130 * 64, (64, 64)),
        # All blocks run at once whatever their size: the smallest is done first.
        (40, 900, (32, 64)),
    ],
)
def test_the_tile_follows_from_the_shape(rows: int, columns: int, tile: tuple[int, int]) -> None:
    chosen = choose_tile("float32", rows, columns, 1)
    assert (chosen.m, chosen.n) == tile


@pytest.mark.parametrize("symbol", sorted(name for name in VARIANTS if "conv2d" in name))
def test_the_registry_has_what_is_launched(symbol: str) -> None:
    """What is built ahead, reported and held to the budget is what the host chooses among."""
    for dtype, scalar in SCALARS.items():
        chosen = macros_of(symbol, dtype)
        listed = [tuple((n, int(v)) for n, v in macros) for macros in VARIANTS[symbol][scalar]]
        assert listed == chosen


def macros_of(symbol: str, dtype: str) -> list[tuple[tuple[str, int], ...]]:
    if symbol.endswith("_direct"):
        filters = (4, 16) if symbol == "conv2d_forward_direct" else (1, 4)
        return [(("FILTERS", a_thread),) for a_thread in filters]
    return [tile.macros for tile in TILES[dtype]]
