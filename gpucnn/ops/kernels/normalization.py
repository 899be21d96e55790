"""Batch normalisation: partial sums of chunks, their merge, then one elementwise pass."""

from typing import Any, NamedTuple

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dense import DenseOps
from gpucnn.ops.kernels.base import THREADS, KernelArrayOps

VALUES = 16
"""Values of a chunk that a thread holds in registers."""

CHUNK = THREADS * VALUES
MACROS = (("THREADS", THREADS), ("VALUES", VALUES))


class Saved(NamedTuple):
    """What backward needs: x and the statistics, (C,) each, that normalised it.

    Behind ReLU also where it cut: beta, with which the kernels form its input once more, or after a
    residual, which is not kept, y.
    """

    x: Array
    mean: Array
    inverse_std: Array
    train: bool
    beta: Array | None
    y: Array | None


class KernelNormalization(KernelArrayOps, DenseOps):
    """Batch normalisation on kernels."""

    def _batch_norm2d_forward(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        train: bool,
        momentum: float,
        eps: float,
        residual: Array | None,
        relu: bool,
        cuts: bool,
    ) -> tuple[Array, Saved]:
        channels, pixels, values = _sizes(x)
        mean, inverse_std = (self.empty((channels,), x.dtype) for _ in range(2))
        if train and values:
            splits = -(-values // CHUNK)
            partial = self.empty((2, channels * splits), x.dtype)
            means, squares = partial[0], partial[1]
            self._launch_chunks(
                "batch_norm2d_forward_partial", channels * splits,
                [x, means, squares, channels, pixels, values, splits],
                THREADS, x.dtype,
            )  # fmt: skip
            self._launch_chunks(
                "batch_norm2d_forward_statistics", channels,
                [means, squares, running_mean, running_var, mean, inverse_std, values, splits,
                 momentum, eps],
                _merging_threads(splits), x.dtype,
            )  # fmt: skip
        else:
            self._launch_chunks(
                "batch_norm2d_forward_running", -(-channels // THREADS),
                [running_mean, running_var, mean, inverse_std, channels, eps],
                THREADS, x.dtype,
            )  # fmt: skip
        y = self.empty(x.shape, x.dtype)
        self._launch_elements(
            "batch_norm2d_forward", x.size,
            [x, gamma, beta, mean, inverse_std, residual, y, channels, pixels, relu, x.size],
            dtype=x.dtype,
        )  # fmt: skip
        again, kept = cuts and residual is None, cuts and residual is not None
        return y, Saved(x, mean, inverse_std, train, beta if again else None, y if kept else None)

    def _batch_norm2d_backward(
        self, dy: Array, saved: Saved, gamma: Array
    ) -> tuple[Array, Array, Array, Array]:
        x, mean, inverse_std, train, beta, y = saved
        channels, pixels, values = _sizes(x)
        splits = -(-values // CHUNK)
        partial = self.empty((2, channels * splits), dy.dtype)
        deltas, products = partial[0], partial[1]
        delta = None if y is None else self.empty(dy.shape, dy.dtype)
        self._launch_chunks(
            "batch_norm2d_backward_partial", channels * splits,
            [dy, x, mean, gamma, inverse_std, beta, y, delta, deltas, products, channels, pixels,
             values, splits],
            THREADS, dy.dtype,
        )  # fmt: skip
        if delta is not None:
            dy = delta
        dgamma, dbeta, shift, slope = (self.empty((channels,), dy.dtype) for _ in range(4))
        self._launch_chunks(
            "batch_norm2d_backward_reduce", channels,
            [deltas, products, inverse_std, dgamma, dbeta, shift, slope, values, splits],
            _merging_threads(splits), dy.dtype,
        )  # fmt: skip
        dx = self.empty(dy.shape, dy.dtype)
        self._launch_elements(
            "batch_norm2d_backward", dy.size,
            [dy, x, gamma, mean, inverse_std, beta, shift, slope, dx, channels, pixels, train,
             dy.size],
            dtype=dy.dtype,
        )  # fmt: skip
        return dx, dgamma, dbeta, dy

    def _launch_chunks(
        self, symbol: str, blocks: int, args: list[Any], threads: int, dtype: Any
    ) -> None:
        """Launch one of the passes before the elementwise one, from that one's file."""
        file = symbol.rpartition("_")[0]
        self._launch(
            file, (blocks, 1, 1), (threads, 1, 1), args, dtype=dtype, symbol=symbol, macros=MACROS
        )


def _sizes(x: Array) -> tuple[int, int, int]:
    """Channels, pixels of an image, values of a channel."""
    n, c, h, w = x.shape
    return c, h * w, n * h * w


def _merging_threads(splits: int) -> int:
    """Threads that merge the chunks of one channel: a warp where it has a lane for each."""
    return 32 if splits <= 32 else THREADS
