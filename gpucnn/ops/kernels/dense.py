"""Linear and the losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dense import DenseOps
from gpucnn.ops.kernels.base import GRID_STRIDE_BLOCKS, THREADS, KernelArrayOps, struct
from gpucnn.ops.kernels.elementwise import ceil_div, row_launch, vectors

MULTIPROCESSORS = 132
"""Of the GPU that splits and tiles are sized for: nominal, so that every GPU adds in one order."""

DEPTH = 16
"""Chunks of k are multiples of it, as it is of every TILE_K of kernels/gemm.cuh."""

CHUNK = 256
"""Shortest chunk of k that is worth a block of its own: 16 tiles."""

BIAS_ROWS, BIAS_CHUNKS = 256, 256
"""Fewest rows of dy that a block adds to a bias's gradient, and most of such blocks."""


@dataclass(frozen=True)
class GemmPlan:
    """How the product (m, k)·(k, n) is cut: the tile of a block, and the chunks of k.

    The chunks decide the order of the sums and depend on the shape alone; the tile does not.
    """

    m: int
    n: int
    k: int
    tile: int
    chunk: int
    chunks: int

    @classmethod
    def of(cls, m: int, n: int, k: int, itemsize: int) -> "GemmPlan":
        """Enough blocks for two a multiprocessor where k is long, and the largest tile that
        leaves one for each."""

        def blocks(tile: int) -> int:
            return ceil_div(m, tile) * ceil_div(n, tile)

        chunks = min(k // CHUNK, ceil_div(2 * MULTIPROCESSORS, max(1, blocks(64))))
        chunk = k
        if chunks > 1:
            chunk = ceil_div(ceil_div(k, chunks), DEPTH) * DEPTH
        chunks = ceil_div(k, chunk) if k else 1
        # 8 x 8 sums a thread in float64 would take all of its registers.
        tiles = [128, 64] if itemsize == 4 else [64]
        fitting = (tile for tile in tiles if blocks(tile) * chunks >= MULTIPROCESSORS)
        return cls(m, n, k, next(fitting, 32), chunk, chunks)

    @property
    def grid(self) -> tuple[int, int, int]:
        return ceil_div(self.m, self.tile) * ceil_div(self.n, self.tile), 1, self.chunks

    @property
    def macros(self) -> Sequence[tuple[str, Any]]:
        return ("TILE_M", self.tile), ("TILE_N", self.tile)

    @property
    def params(self) -> Any:
        """GemmParams of kernels/gemm.cuh."""
        return struct(m=self.m, n=self.n, k=self.k, chunk=self.chunk)


class KernelDense(KernelArrayOps, DenseOps):
    """The linear layer and the losses on kernels."""

    def _linear_forward(self, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
        (n, features), units = x.shape, w.shape[0]
        plan = GemmPlan.of(n, units, features, x.dtype.itemsize)
        if plan.chunks == 1:
            return self._product("linear_forward", plan, [x, w, b], x.dtype, more=[relu])[0]
        parts = self._product("linear_forward", plan, [x, w, None], x.dtype, more=[False])
        y = self.empty((plan.m, plan.n), x.dtype)
        args = [parts, b, y, y.size, plan.n, plan.chunks, relu]
        self._launch_elements(
            "linear_forward", y.size, args, dtype=x.dtype, symbol="linear_forward_reduce"
        )
        return y

    def _linear_backward(
        self, dy: Array, x: Array, w: Array, relu_y: Array | None
    ) -> tuple[Array, Array, Array]:
        (n, features), units, itemsize = x.shape, w.shape[0], x.dtype.itemsize
        plan = GemmPlan.of(n, features, units, itemsize)
        operands = [dy, w, relu_y if plan.chunks == 1 else None]
        dx = self._product("linear_backward", plan, operands, dy.dtype, "linear_backward_input")
        plan = GemmPlan.of(units, features, n, itemsize)
        dw = self._product("linear_backward", plan, [dy, x], dy.dtype, "linear_backward_weight")
        chunks = min(max(1, ceil_div(n, BIAS_ROWS)), BIAS_CHUNKS)
        db = self.empty((chunks, units), dy.dtype)
        self._launch(
            "linear_backward", (ceil_div(units, 32), 1, chunks), (32, 8, 1),
            [dy, db, n, units, ceil_div(n, chunks)],
            dtype=dy.dtype, symbol="linear_backward_bias",
        )  # fmt: skip
        return self._add_chunks(dx, relu_y), self._add_chunks(dw), self._add_chunks(db)

    def _product(
        self,
        file: str,
        plan: GemmPlan,
        operands: Sequence[Array | None],
        dtype: Any,
        symbol: str | None = None,
        more: Sequence[Any] = (),
    ) -> Array:
        """The products of the chunks of k, (chunks, m, n); `more` arguments stand behind."""
        out = self.empty((plan.chunks, plan.m, plan.n), dtype)
        self._launch(
            file, plan.grid, (THREADS, 1, 1), [*operands, out, plan.params, *more],
            dtype=dtype, symbol=symbol, macros=plan.macros,
        )  # fmt: skip
        return out

    def _add_chunks(self, parts: Array, relu_y: Array | None = None) -> Array:
        """The sum over the first axis, in its order, 0 where relu_y <= 0; of one part, itself."""
        if parts.shape[0] == 1:
            return parts[0]
        out = self.empty(parts.shape[1:], parts.dtype)
        args = [parts, relu_y, out, out.size, parts.shape[0]]
        self._launch_elements(
            "linear_backward", out.size, args, dtype=out.dtype, symbol="linear_backward_reduce"
        )
        return out

    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]:
        rows, classes = logits.shape
        losses, dlogits = self.empty((rows,), logits.dtype), self.empty(logits.shape, logits.dtype)
        share = 1 / rows if mean and rows else 1.0
        grid, block = row_launch(rows, classes)
        args = [logits, labels, losses, dlogits, rows, classes]
        args += [1 - smoothing, smoothing / classes, share]
        self._launch("softmax_cross_entropy", grid, block, args, dtype=logits.dtype)
        return self._add_losses("softmax_cross_entropy", losses, share), dlogits

    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]:
        dy = self.empty(y.shape, y.dtype)
        share = 1 / y.shape[0] if mean and y.shape[0] else 1.0
        blocks = min(ceil_div(vectors(y.size, y.dtype), THREADS), GRID_STRIDE_BLOCKS)
        parts = self.empty((blocks,), y.dtype)
        args = [y, target, dy, parts, y.size, share]
        grid, block = (blocks, 1, 1), (THREADS, 1, 1)
        self._launch("mean_squared_error", grid, block, args, dtype=y.dtype)
        return self._add_losses("mean_squared_error", parts, 0.5 * share), dy

    def _add_losses(self, file: str, parts: Array, scale: float) -> Array:
        """scale·Σ parts as a 0-d array, in a fixed order by one block; 0 where there are none."""
        loss = self.empty((), parts.dtype)
        self._launch(
            file, (1, 1, 1), (THREADS, 1, 1), [parts, loss, parts.size, scale],
            dtype=parts.dtype, symbol=f"{file}_reduce",
        )  # fmt: skip
        return loss
