"""Linear, batch norm and the losses."""

from typing import Any, NamedTuple

import numpy as np

from gpucnn.errors import DataError
from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dense import DenseOps
from gpucnn.ops.cpu import parallel
from gpucnn.ops.cpu.base import CpuArrayOps, Scratch
from gpucnn.ops.cpu.select import cut, cut_room, mask_dtype, zero_where


class BatchNormSaved(NamedTuple):
    """What batch norm's backward needs: the input, its statistics (C, 1, 1), and behind ReLU y."""

    x: Array
    mean: Array
    inverse_std: Array
    train: bool
    y: Array | None
    residual: bool


class CpuDense(CpuArrayOps, DenseOps):
    """The dense family on NumPy."""

    def _linear_forward(self, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
        y = self.empty((len(x), len(w)), x.dtype)

        def body(low: int, high: int, _: Scratch) -> None:
            np.matmul(x[low:high], w.T, out=y[low:high])
            if b is not None:
                y[low:high] += b
            if relu:
                np.maximum(y[low:high], 0, out=y[low:high])

        self._over(len(x), x.size + y.size, body)
        return y

    def _linear_backward(
        self, dy: Array, x: Array, w: Array, relu_y: Array | None
    ) -> tuple[Array, Array, Array]:
        dx, dw = self.empty(x.shape, x.dtype), self.empty(w.shape, w.dtype)

        def input_rows(low: int, high: int, take: Scratch) -> None:
            part = dx[low:high]
            np.matmul(dy[low:high], w, out=part)
            if relu_y is not None:
                cut(relu_y[low:high], part, take)

        def weight_rows(low: int, high: int, _: Scratch) -> None:
            np.matmul(dy.T[low:high], x, out=dw[low:high])

        room = cut_room(x.shape[1], x.itemsize) if relu_y is not None else 0
        self._over(len(dx), dx.size + dy.size, input_rows, scratch=room)
        self._over(len(dw), x.size + dw.size, weight_rows)
        return dx, dw, np.sum(dy, axis=0, out=self.empty(dy.shape[1:], dy.dtype))

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
    ) -> tuple[Array, Any]:
        mean, var = running_mean, running_var
        values = x.size // x.shape[1]
        if train and values:
            mean, var = self._statistics(x)
            _blend(running_mean, mean, momentum)
            _blend(running_var, var * (values / (values - 1)), momentum)
        inverse_std = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(x.dtype)
        y = self.empty(x.shape, x.dtype)
        saved = BatchNormSaved(
            x, np.array(mean)[:, None, None], inverse_std[:, None, None], train,
            y if cuts else None, residual is not None,
        )  # fmt: skip
        scale, shift = gamma[:, None, None] * saved.inverse_std, beta[:, None, None]

        def body(low: int, high: int, _: Scratch) -> None:
            part = y[low:high]
            np.subtract(x[low:high], saved.mean, out=part)
            part *= scale
            part += shift
            if residual is not None:
                part += residual[low:high]
            if relu:
                np.maximum(part, 0, out=part)

        self._over(len(x), x.size, body)
        return y, saved

    def _statistics(self, x: Array) -> tuple[Array, Array]:
        """(C,) mean in x's dtype and biased variance in float64, over N, H and W, in one pass.

        Blocks of images give their own mean and squares about it, joined as Chan, Golub and LeVeque
        do ("Updating formulae", 1979): no cancellation for a large mean.
        """
        n, c, h, w = x.shape
        ones = self._ones(x)

        def body(out: Array, low: int, high: int, take: Scratch) -> None:
            part, count = x[low:high], (high - low) * h * w
            maps = take((high - low, c), x.dtype)
            mean = _pixel_sums(part, ones, maps).sum(axis=0, dtype=np.float64) / count
            centred = np.subtract(part, _per_channel(mean, x.dtype), out=take.like(part))
            # The block's mean was rounded to x's dtype: what is left is measured and taken off.
            rest = _pixel_sums(centred, ones, maps).sum(axis=0, dtype=np.float64) / count
            squares = _dot(centred, centred, maps).sum(axis=0, dtype=np.float64)
            out[0] = mean.astype(x.dtype) + rest
            out[1] = squares - count * rest**2

        room = c * (h * w + 1) * x.itemsize
        parts = self._reduced(n, x.size, (2, c), "float64", body, scratch=room)
        total, mean, squares = 0, 0.0, 0.0
        for (low, high), (block_mean, block_squares) in zip(
            parallel.ranges(n, x.size), parts, strict=True
        ):
            count = (high - low) * h * w
            shift = block_mean - mean
            joined = total + count
            squares = squares + block_squares + shift**2 * (total * count / joined)
            mean = mean + shift * (count / joined)
            total = joined
        return np.asarray(mean, x.dtype), np.asarray(squares) / total

    def _ones(self, x: Array) -> Array:
        """A one for each pixel."""
        ones = self.empty((x.shape[2] * x.shape[3],), x.dtype)
        ones.fill(1)
        return ones

    def _batch_norm2d_backward(
        self, dy: Array, saved: BatchNormSaved, gamma: Array
    ) -> tuple[Array, Array, Array, Array]:
        x, mean, inverse_std, train, y, residual = saved
        n, c, h, w = x.shape
        dx = self.empty(dy.shape, dy.dtype)
        # dy behind ReLU: a result of its own for a residual, else where dx will be.
        delta = dy if y is None else self.empty(dy.shape, dy.dtype) if residual else dx
        ones = self._ones(x)

        def sums(out: Array, low: int, high: int, take: Scratch) -> None:
            part, centred = delta[low:high], take.like(x[low:high])
            if y is not None:
                lost = np.less_equal(y[low:high], 0, out=take.like(part, bool))
                # Its room is that of the centred values, which come after.
                zero_where(lost, dy[low:high], part, centred.view(mask_dtype(dy)))
            maps = take((high - low, c), x.dtype)
            _pixel_sums(part, ones, maps).sum(axis=0, dtype=np.float64, out=out[0])
            np.subtract(x[low:high], mean, out=centred)
            _dot(part, centred, maps).sum(axis=0, dtype=np.float64, out=out[1])

        room = c * ((h * w + 1) * x.itemsize + h * w)
        parts = self._reduced(n, x.size, (2, c), "float64", sums, scratch=room)
        dbeta, products = np.add.reduce(parts, axis=0)
        dgamma = products * inverse_std.ravel()
        scale = gamma[:, None, None] * inverse_std
        if train and x.size:
            # dx = scale·(dy - mean(dy) - x̂·mean(dy·x̂)), with x̂ = (x - mean)·inverse_std
            values = x.size // x.shape[1]
            shift = _per_channel(dbeta / values, dy.dtype)
            slope = _per_channel(dgamma / values, dy.dtype) * inverse_std

        def body(low: int, high: int, take: Scratch) -> None:
            part = dx[low:high]
            if train:
                less = take.like(part) if delta is dx else part
                np.subtract(x[low:high], mean, out=less)
                less *= slope
                less += shift
                np.subtract(delta[low:high], less, out=part)
                part *= scale
            else:
                np.multiply(delta[low:high], scale, out=part)

        if x.size:
            room = c * h * w * x.itemsize if delta is dx else 0
            self._over(len(x), x.size, body, scratch=room)
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
        shifted, dlogits = (self.empty(logits.shape, logits.dtype) for _ in range(2))
        np.subtract(logits, logits.max(axis=1, keepdims=True), out=shifted)
        np.exp(shifted, out=dlogits)
        total = dlogits.sum(axis=1, keepdims=True)
        # -log softmax; its weighted sum over the classes is the loss.
        negative_log = np.subtract(np.log(total), shifted, out=shifted)
        losses = (1 - smoothing) * negative_log[rows, labels]
        dlogits /= total
        if smoothing:
            losses += smoothing / classes * negative_log.sum(axis=1)
            dlogits -= smoothing / classes
        dlogits[rows, labels] -= 1 - smoothing
        dlogits *= share
        return np.asarray(losses.sum() * share, logits.dtype), dlogits

    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]:
        dy = np.subtract(y, target, out=self.empty(y.shape, y.dtype))
        loss = 0.5 * np.vdot(dy, dy)
        if mean and len(y):
            loss /= len(y)
            dy /= len(y)
        return np.asarray(loss, y.dtype), dy


def _dot(a: Array, b: Array, out: Array) -> Array:
    """(N, C): Σ a·b over the pixels of each image and channel."""
    return np.einsum("nchw,nchw->nc", a, b, out=out)


def _pixel_sums(x: Array, ones: Array, out: Array) -> Array:
    """(N, C): Σ over H and W, as a product with ones, which the BLAS does fastest."""
    np.matmul(x.reshape(out.size, len(ones)), ones, out=out.reshape(-1))
    return out


def _per_channel(a: Array, dtype: Any) -> Array:
    return a.astype(dtype)[:, None, None]


def _blend(running: Array, batch: Array, momentum: float) -> None:
    running *= 1 - momentum
    running += (momentum * batch).astype(running.dtype)
