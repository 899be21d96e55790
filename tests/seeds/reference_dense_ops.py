"""The dense layers, activations, losses, dropout and SGD of gpucnn.reference as Ops methods."""

from typing import Any

import numpy as np

from gpucnn.ops.base import Array
from gpucnn.ops.contract.rates import Ema, Rates
from gpucnn.reference import activations, batch_norm, dense, dropout, losses, training
from tests.oracles import philox
from tests.seeds.arrays import rounded, unsupported


class ReferenceDense:
    """The dense, elementwise and dropout families, and gradient descent."""

    def _linear_forward(self, x: Array, w: Array, b: Array | None, relu: bool) -> Array:
        y = rounded(dense.linear(x, w, b), x.dtype)
        return self._relu_forward(y) if relu else y

    def _linear_backward(
        self, dy: Array, x: Array, w: Array, relu_y: Array | None
    ) -> tuple[Array, Array, Array]:
        dx, dw, db = dense.linear_backward(dy, x, w)
        dx = dx if relu_y is None else self._relu_backward(dx, relu_y)
        return rounded(dx, x.dtype), rounded(dw, x.dtype), rounded(db, x.dtype)

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
        if residual is not None or relu:
            raise unsupported("batch norm that ends in a residual's sum or ReLU")
        running = batch_norm.Statistics(
            running_mean.astype(np.float64), running_var.astype(np.float64)
        )
        used = batch_norm.batch_statistics(x) if train else running
        if train:
            m = x.size // x.shape[1]
            moved = batch_norm.running_statistics(running, used, m, momentum)
            running_mean[...], running_var[...] = moved
        y = batch_norm.batch_norm2d(x, gamma, beta, used, eps)
        return rounded(y, x.dtype), (x, used, eps, train)

    def _batch_norm2d_backward(
        self, dy: Array, saved: Any, gamma: Array
    ) -> tuple[Array, Array, Array, Array]:
        x, statistics, eps, train = saved
        dx, dgamma, dbeta = batch_norm.batch_norm2d_backward(
            dy, x, gamma, statistics, eps, train=train
        )
        return rounded(dx, dy.dtype), rounded(dgamma, dy.dtype), rounded(dbeta, dy.dtype), dy

    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]:
        if smoothing:
            raise unsupported("label smoothing")
        loss, delta = losses.cross_entropy(logits, labels, "mean" if mean else "sum")
        return rounded(loss, logits.dtype), rounded(delta, logits.dtype)

    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]:
        loss, delta = losses.mean_squared_error(y, target, "mean" if mean else "sum")
        return rounded(loss, y.dtype), rounded(delta, y.dtype)

    def _relu_forward(self, x: Array) -> Array:
        return rounded(activations.relu(x), x.dtype)

    def _relu_backward(self, dy: Array, x: Array) -> Array:
        return rounded(activations.relu_backward(dy, x), x.dtype)

    def _sigmoid_forward(self, x: Array) -> Array:
        return rounded(activations.sigmoid(x), x.dtype)

    def _sigmoid_backward(self, dy: Array, y: Array) -> Array:
        return rounded(activations.sigmoid_backward(dy, y), y.dtype)

    def _tanh_forward(self, x: Array) -> Array:
        return rounded(activations.tanh(x), x.dtype)

    def _tanh_backward(self, dy: Array, y: Array) -> Array:
        return rounded(activations.tanh_backward(dy, y), y.dtype)

    def _softmax_forward(self, x: Array) -> Array:
        return rounded(activations.softmax(x), x.dtype)

    def _softmax_backward(self, dy: Array, y: Array) -> Array:
        return rounded(activations.softmax_backward(dy, y), y.dtype)

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        kept = philox.kept(x.size, rate, seed, layer, step).reshape(x.shape)
        return _applied(x, dropout.element_mask(~kept, rate))

    def _dropout2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        maps = x.shape[:2]
        kept = philox.kept(maps[0] * maps[1], rate, seed, layer, step).reshape(maps)
        return _applied(x, dropout.channel_mask(~kept, rate))

    def _drop_block2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int, block_size: int
    ) -> tuple[Array, Array]:
        n, c, h, w = x.shape
        grid = (n, c, h + block_size - 1, w + block_size - 1)
        corner_rate = dropout.corner_rate(rate, block_size)
        kept = philox.kept(int(np.prod(grid)), corner_rate, seed, layer, step).reshape(grid)
        return _applied(x, dropout.block_mask(~kept, rate, block_size))

    def _dropout_backward(self, dy: Array, mask: Array) -> Array:
        return rounded(dropout.dropout_backward(dy, mask), dy.dtype)

    def _sgd_update(
        self,
        values: Array,
        grads: Array,
        velocity: Array | None,
        rates: Rates,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        lr_scale: Array | None,
        only_if: Array | None,
        ema: Ema,
    ) -> None:
        if momentum or weight_decay or not (lr_scale is only_if is ema is None):
            raise unsupported("SGD with more than lr")
        (lr,) = rates
        values[...] = training.descend(values.astype(np.float64), grads.astype(np.float64), lr)


def _applied(x: Array, mask: Array) -> tuple[Array, Array]:
    """y and the mask, in x's dtype."""
    mask = rounded(mask, x.dtype)
    return rounded(dropout.dropout(x, mask), x.dtype), mask
