"""Dropout of elements, channels and blocks.

Masks come from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)
with key = seed and counter = (element // 4 low, high, layer, step); word element % 4 is the draw.
A draw keeps iff it is >= floor(rate·2³²), compared as integers: all devices draw the same masks.
"""

from abc import abstractmethod
from typing import Any

from gpucnn.draws import check_seed
from gpucnn.errors import ConfigError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps, number
from gpucnn.ops.shapes import check_elements, integer

Step = int | Array
"""A counter: a number, or an array of the device that holds it."""


class DropoutOps(ArrayOps):
    """Inverted dropout: masks hold 0 or 1/(1 - rate), in x's dtype."""

    @implements("A23")
    def dropout_forward(
        self, x: Array, *, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        """Return y = x·mask and the mask; each element has its own draw (S2).

        `rate` is in [0, 1), `seed` in [0, 2⁶⁴), `layer` and `step` in [0, 2³²). `step` may be a
        0-d uint32 array of the device, which is read when the masks are drawn.
        """
        self._check("x", x)
        return self._dropout_forward(x, *self._draw(rate, seed, layer, step))

    @implements("A23")
    def dropout2d_forward(
        self, x: Array, *, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        """As dropout_forward, a draw for each (n, c): whole channels go; mask (N, C, 1, 1) (S2)."""
        self._check("x", x, ndim=4)
        return self._dropout2d_forward(x, *self._draw(rate, seed, layer, step))

    @implements("A23")
    def drop_block2d_forward(
        self, x: Array, *, rate: float, seed: int, layer: int, step: Step, block_size: int
    ) -> tuple[Array, Array]:
        """As dropout_forward, but squares of `block_size` go (S2; Ghiasi et al., DropBlock, 2018).

        A block's top-left corner is drawn at every place of a (H+B-1, W+B-1) grid from which it
        covers a cell, with rate 1 - (1 - rate)^(1/B²). Blocks are cut at the border, so every
        cell is kept with probability 1 - rate exactly, and 1/(1 - rate) is the right scale.
        """
        self._check("x", x, ndim=4)
        size = integer("block_size", block_size, minimum=1)
        if size > min(x.shape[2:]):
            raise ConfigError(
                f"block_size must be at most the image's smaller side, got {size} for x of shape"
                f" {x.shape}"
            )
        n, c, h, w = x.shape
        check_elements("the grid of block corners", (n, c, h + size - 1, w + size - 1))
        return self._drop_block2d_forward(x, *self._draw(rate, seed, layer, step), size)

    @implements("A23")
    def dropout_backward(self, dy: Array, mask: Array) -> Array:
        """Return dx = dy·mask, for every kind of dropout."""
        self._check("dy", dy)
        self._check("mask", mask, dtype=dy.dtype.name)
        if mask.shape != dy.shape:
            self._check("mask", mask, shape=(*dy.shape[:2], *(1 for _ in dy.shape[2:])))
        return self._dropout_backward(dy, mask)

    def _draw(self, rate: Any, seed: Any, layer: Any, step: Any) -> tuple[float, int, int, Step]:
        words = {"layer": integer("layer", layer, minimum=0)}
        if self.is_array(step):
            self._check("step", step, shape=(), dtype="uint32")
        else:
            step = words["step"] = integer("step", step, minimum=0)
        for name, value in words.items():
            if value >= 2**32:
                raise ConfigError(f"{name} must be below 2**32, got {value}")
        fraction = number("rate", rate, 0, 1, open_high=True)
        return fraction, check_seed(seed), words["layer"], step

    @abstractmethod
    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _dropout2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _drop_block2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step, block_size: int
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _dropout_backward(self, dy: Array, mask: Array) -> Array: ...
