"""The tiles of the convolutions' products, and which one a product gets.

Sized for a nominal GPU of 132 multiprocessors, whatever the device.
"""

from dataclasses import dataclass, field
from math import ceil

MULTIPROCESSORS = 132


@dataclass(frozen=True)
class Tile:
    """The macros of conv_tile.cuh; `rate` estimates its speed as a part of the largest one's."""

    m: int
    n: int
    thread_m: int
    thread_n: int
    rate: float = field(compare=False)
    stages: tuple[int, ...] = field(compare=False)
    """Those of conv_pipeline.cuh to choose from: 2 through registers, 3 by asynchronous copies."""
    k: int = 8

    @property
    def threads(self) -> int:
        return self.m // self.thread_m * (self.n // self.thread_n)

    @property
    def macros(self) -> tuple[tuple[str, int], ...]:
        return (
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("THREAD_M", self.thread_m),
            ("THREAD_N", self.thread_n),
        )

    def blocks(self, rows: int, columns: int) -> int:
        return -(-rows // self.m) * -(-columns // self.n)


# The rates are estimated from the share of multiply-adds among the instructions of the loop over
# the tiles on sm_90 (benchmarks/sass_mix.py), the mean of the passes; no GPU has measured them.
# Four warps of 32 x 64 sums make 64 x 128 in three stages alone: in two they would spill. The last
# three are for few rows (16 or 32 filters or channels) or columns (a first layer's taps).
TILES = {
    "float32": (
        Tile(128, 128, 8, 8, 1.0, (2, 3)),
        Tile(64, 128, 8, 8, 0.93, (3,)),
        Tile(64, 128, 4, 8, 0.81, (2, 3)),
        Tile(64, 64, 4, 4, 0.63, (2, 3)),
        Tile(32, 64, 4, 4, 0.58, (2, 3)),
        Tile(32, 128, 4, 8, 0.74, (2, 3)),
        Tile(64, 32, 4, 4, 0.58, (2, 3)),
        Tile(16, 128, 4, 4, 0.52, (2, 3)),
    ),
    "float64": (Tile(64, 64, 4, 4, 1.0, (2,)), Tile(32, 64, 4, 4, 0.95, (2,))),
}
"""The instantiations of each dtype. float64 needs two registers a sum: smaller tiles."""


def choose_tile(dtype: str, rows: int, columns: int, products: int, *, split: bool = False) -> Tile:
    """The tile with the least estimated time for `products` products of rows x columns.

    Every multiprocessor works through its share of the blocks; a share that is not whole counts as
    whole, unless the sums are split (then slices even it out).
    """

    def time(tile: Tile) -> float:
        share = products * tile.blocks(rows, columns) / MULTIPROCESSORS
        return (share if split else ceil(share)) * tile.m * tile.n / tile.rate

    return min(TILES[dtype], key=time)
