"""gpucnn.reference under the names of the contract: float64, and formulas that nobody else uses.

Its functions are called as the cases call a device. It has no method for what the sources do not
have: those are checked against `cpu` alone.
"""

from typing import Any

import numpy as np

from gpucnn.ops.cpu import philox
from gpucnn.reference import activations, batch_norm, convolution, dense, dropout, losses, pooling

NAME = "reference float64"


class Reference:
    """Methods of the contract, as far as gpucnn.reference can answer them for a case."""

    asarray = staticmethod(np.asarray)
    to_numpy = staticmethod(np.asarray)
    zeros = staticmethod(np.zeros)

    conv2d_forward = staticmethod(convolution.conv2d_forward)
    conv2d_backward_input = staticmethod(convolution.conv2d_backward_input)
    conv2d_backward_weight = staticmethod(convolution.conv2d_backward_weight)
    conv2d_backward_bias = staticmethod(convolution.conv2d_backward_bias)

    max_pool2d_forward = staticmethod(pooling.max_pool2d)
    max_pool2d_backward = staticmethod(pooling.max_pool2d_backward)
    avg_pool2d_forward = staticmethod(pooling.avg_pool2d)
    avg_pool2d_backward = staticmethod(pooling.avg_pool2d_backward)
    lp_pool2d_forward = staticmethod(pooling.lp_pool2d)
    lp_pool2d_backward = staticmethod(pooling.lp_pool2d_backward)

    linear_forward = staticmethod(dense.linear)
    linear_backward = staticmethod(dense.linear_backward)

    relu_forward = staticmethod(activations.relu)
    relu_backward = staticmethod(activations.relu_backward)
    sigmoid_forward = staticmethod(activations.sigmoid)
    sigmoid_backward = staticmethod(activations.sigmoid_backward)
    tanh_forward = staticmethod(activations.tanh)
    tanh_backward = staticmethod(activations.tanh_backward)
    softmax_forward = staticmethod(activations.softmax)
    softmax_backward = staticmethod(activations.softmax_backward)

    mean_squared_error = staticmethod(losses.mean_squared_error)

    @staticmethod
    def softmax_cross_entropy(logits: Any, labels: Any, *, label_smoothing: float) -> list[Any]:
        """The loss is linear in the target: a smoothed one is a mixture of the plain ones."""
        n, classes = logits.shape
        each = [losses.cross_entropy(logits, np.full(n, label)) for label in range(classes)]
        plain: tuple[Any, Any] = losses.cross_entropy(logits, labels)
        mixed = []
        for number, own in enumerate(plain):
            others: Any = sum(found[number] for found in each)
            mixed.append((1 - label_smoothing) * own + label_smoothing * others / classes)
        return mixed

    @staticmethod
    def batch_norm2d_forward(
        x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, *, train: bool
    ) -> tuple[Any, Any]:
        """y, and what backward needs; the running statistics are moved in place."""
        running = batch_norm.Statistics(running_mean.copy(), running_var.copy())
        used = batch_norm.batch_statistics(x) if train else running
        if train:
            moved = batch_norm.running_statistics(running, used, x.size // x.shape[1])
            running_mean[...], running_var[...] = moved
        return batch_norm.batch_norm2d(x, gamma, beta, used), (x, used, train)

    @staticmethod
    def batch_norm2d_backward(dy: Any, saved: Any, gamma: Any) -> Any:
        x, used, train = saved
        return batch_norm.batch_norm2d_backward(dy, x, gamma, used, train=train)

    @staticmethod
    def dropout_forward(x: Any, *, rate: float, **key: int) -> tuple[Any, Any]:
        return _masked(x, dropout.element_mask(_dropped(x.shape, rate, **key), rate))

    @staticmethod
    def dropout2d_forward(x: Any, *, rate: float, **key: int) -> tuple[Any, Any]:
        return _masked(x, dropout.channel_mask(_dropped(x.shape[:2], rate, **key), rate))

    @staticmethod
    def drop_block2d_forward(
        x: Any, *, rate: float, block_size: int, **key: int
    ) -> tuple[Any, Any]:
        n, c, h, w = x.shape
        corners = (n, c, h + block_size - 1, w + block_size - 1)
        drawn = _dropped(corners, dropout.corner_rate(rate, block_size), **key)
        return _masked(x, dropout.block_mask(drawn, rate, block_size))

    dropout_backward = staticmethod(dropout.dropout_backward)


def _dropped(shape: tuple[int, ...], rate: float, **key: int) -> Any:
    """The reference is given its draws: they are those of `cpu`."""
    count = int(np.prod(shape))
    work = np.empty((philox.ARRAYS, -(-count // 4)), np.uint64)
    draws = philox.draw(work, 0, **key).T.ravel()[:count]
    return (draws < int(rate * 2**32)).reshape(shape)


def _masked(x: Any, mask: Any) -> tuple[Any, Any]:
    return dropout.dropout(x, mask), mask
