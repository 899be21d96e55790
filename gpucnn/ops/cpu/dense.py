"""Linear, batch norm and the losses."""

from typing import Any, NamedTuple

import numpy as np

from gpucnn.errors import DataError
from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dense import DenseOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.cpu.select import zero_where


class BatchNormSaved(NamedTuple):
    """What batch norm's backward needs: the input, its statistics (C, 1, 1), and behind ReLU y."""

    x: Array
    mean: Array
    inverse_std: Array
    train: bool
    y: Array | None
    residual: bool


class CpuDense(DenseOps):
    """The dense family on NumPy."""

    def _linear_forward(self, x: Array, w: Array, b: Array | None) -> Array:
        y = np.empty((len(x), len(w)), x.dtype)

        def body(low: int, high: int) -> None:
            np.matmul(x[low:high], w.T, out=y[low:high])
            if b is not None:
                y[low:high] += b

        parallel.over(len(x), x.size + y.size, body)
        return y

    def _linear_backward(self, dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
        dx, dw = np.empty_like(x), np.empty_like(w)

        def input_rows(low: int, high: int) -> None:
            np.matmul(dy[low:high], w, out=dx[low:high])

        def weight_rows(low: int, high: int) -> None:
            np.matmul(dy.T[low:high], x, out=dw[low:high])

        parallel.over(len(dx), dx.size + dy.size, input_rows)
        parallel.over(len(dw), x.size + dw.size, weight_rows)
        return dx, dw, dy.sum(axis=0)

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
    ) -> tuple[Array, Any]:
        mean, var = running_mean, running_var
        values = x.size // x.shape[1]
        if train and values:
            mean, var = _statistics(x)
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * (values / (values - 1)), momentum)
        inverse_std = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(x.dtype)
        y = np.empty_like(x)
        saved = BatchNormSaved(
            x, np.array(mean)[:, None, None], inverse_std[:, None, None], train,
            y if relu else None, residual is not None,
        )  # fmt: skip
        scale, shift = gamma[:, None, None] * saved.inverse_std, beta[:, None, None]

        def body(low: int, high: int) -> None:
            part = y[low:high]
            np.subtract(x[low:high], saved.mean, out=part)
            part *= scale
            part += shift
            if residual is not None:
                part += residual[low:high]
            if relu:
                np.maximum(part, 0, out=part)

        parallel.over(len(x), x.size, body)
        return y, saved

    def _batch_norm2d_backward(
        self, dy: Array, saved: BatchNormSaved, gamma: Array
    ) -> tuple[Array, Array, Array, Array]:
        x, mean, inverse_std, train, y, residual = saved
        dx = np.empty_like(dy)
        # dy behind ReLU: a result of its own for a residual, else where dx will be.
        delta = dy if y is None else np.empty_like(dy) if residual else dx

        def sums(low: int, high: int) -> Array:
            part = delta[low:high]
            if y is not None:
                zero_where(y[low:high] <= 0, dy[low:high], part)
            products = _dot(part, x[low:high] - mean)
            return np.stack([_pixel_sums(part), products]).sum(axis=1, dtype=np.float64)

        parts = parallel.over(len(x), x.size, sums)
        dbeta, products = np.add.reduce(parts, axis=0)
        dgamma = products * inverse_std.ravel()
        scale = gamma[:, None, None] * inverse_std
        if train and x.size:
            # dx = scale·(dy - mean(dy) - x̂·mean(dy·x̂)), with x̂ = (x - mean)·inverse_std
            values = x.size // x.shape[1]
            shift = _per_channel(dbeta / values, dy.dtype)
            slope = _per_channel(dgamma / values, dy.dtype) * inverse_std

        def body(low: int, high: int) -> None:
            part = dx[low:high]
            if train:
                less = np.subtract(x[low:high], mean, out=None if delta is dx else part)
                less *= slope
                less += shift
                np.subtract(delta[low:high], less, out=part)
                part *= scale
            else:
                np.multiply(delta[low:high], scale, out=part)

        if x.size:
            parallel.over(len(x), x.size, body)
        return dx, dgamma.astype(dy.dtype), dbeta.astype(dy.dtype), delta

    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]:
        count, classes = logits.shape
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if wrong.size:
            raise DataError(
                f"labels[{wrong[0]}] is {labels[wrong[0]]}, outside of the {classes} classes"
                f" 0..{classes - 1} of the logits: check the labels or the last layer's units"
            )
        if count == 0:
            return np.zeros((), logits.dtype), np.zeros_like(logits)
        share = 1 / count if mean else 1.0
        rows = np.arange(count)
        shifted = logits - logits.max(axis=1, keepdims=True)
        powers = np.exp(shifted)
        total = powers.sum(axis=1, keepdims=True)
        # -log softmax; its weighted sum over the classes is the loss.
        negative_log = np.log(total) - shifted
        losses = (1 - smoothing) * negative_log[rows, labels]
        dlogits = powers / total
        if smoothing:
            losses += smoothing / classes * negative_log.sum(axis=1)
            dlogits -= smoothing / classes
        dlogits[rows, labels] -= 1 - smoothing
        dlogits *= share
        return np.asarray(losses.sum() * share, logits.dtype), dlogits

    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]:
        dy = y - target
        loss = 0.5 * np.vdot(dy, dy)
        if mean and len(y):
            loss /= len(y)
            dy /= len(y)
        return np.asarray(loss, y.dtype), dy


def _dot(a: Array, b: Array) -> Array:
    """Σ a·b over the pixels of each image and channel."""
    return np.einsum("nchw,nchw->nc", a, b)


def _statistics(x: Array) -> tuple[Array, Array]:
    """(C,) mean in x's dtype and biased variance in float64, over N, H and W, in one pass.

    Blocks of images give their own mean and squares about it, joined as Chan, Golub and LeVeque
    do ("Updating formulae", 1979): no cancellation for a large mean.
    """
    pixels = x.shape[2] * x.shape[3]

    def block(low: int, high: int) -> tuple[int, Array, Array]:
        part, count = x[low:high], (high - low) * pixels
        mean = _pixel_sums(part).sum(axis=0, dtype=np.float64) / count
        centred = part - _per_channel(mean, x.dtype)
        # The block's mean was rounded to x's dtype: what is left over is measured and taken off.
        rest = _pixel_sums(centred).sum(axis=0, dtype=np.float64) / count
        squares = _dot(centred, centred).sum(axis=0, dtype=np.float64) - count * rest**2
        return count, mean.astype(x.dtype) + rest, squares

    total, mean, squares = 0, 0.0, 0.0
    for count, block_mean, block_squares in parallel.over(len(x), x.size, block):
        shift = block_mean - mean
        joined = total + count
        squares = squares + block_squares + shift**2 * (total * count / joined)
        mean = mean + shift * (count / joined)
        total = joined
    return np.asarray(mean, x.dtype), np.asarray(squares) / total


def _pixel_sums(x: Array) -> Array:
    """(N, C): Σ over H and W, as a product with ones, which the BLAS does fastest."""
    n, c, h, w = x.shape
    return (x.reshape(n * c, h * w) @ np.ones(h * w, x.dtype)).reshape(n, c)


def _per_channel(a: Array, dtype: Any) -> Array:
    return a.astype(dtype)[:, None, None]


def _blend(running: Array, batch: Array, momentum: float) -> None:
    running *= 1 - momentum
    running += (momentum * batch).astype(running.dtype)
