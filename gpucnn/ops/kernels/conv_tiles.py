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


# The rates are estimated from the shared loads a multiply-add, 1/thread_m + 1/thread_n, and the
# global ones, 1/m + 1/n; no GPU has measured them.
TILES = {
    "float32": (
        Tile(128, 128, 8, 8, 1.0),
        Tile(64, 128, 4, 8, 0.85),
        Tile(64, 64, 4, 4, 0.7),
        Tile(32, 64, 4, 4, 0.65),
    ),
    "float64": (Tile(64, 64, 4, 4, 1.0), Tile(32, 64, 4, 4, 0.95)),
}
"""The instantiations of each dtype. float64 needs two registers a sum: smaller tiles."""

STAGES = {"float32": (2, 3), "float64": (2,)}
"""Those of conv_pipeline.cuh: 2 through registers, 3 by asynchronous copies."""


def choose_tile(dtype: str, rows: int, columns: int, products: int, *, split: bool = False) -> Tile:
    """The tile with the least estimated time for `products` products of rows x columns.

    Every multiprocessor works through its share of the blocks; a share that is not whole counts as
    whole, unless the sums are split (then slices even it out).
    """

    def time(tile: Tile) -> float:
        share = products * tile.blocks(rows, columns) / MULTIPROCESSORS
        return (share if split else ceil(share)) * tile.m * tile.n / tile.rate

    return min(TILES[dtype], key=time)
