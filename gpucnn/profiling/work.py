"""What each method of the contract has to do at least, from its arguments' shapes alone.

FLOPs: an addition, multiplication, division, comparison, root, exponential or tanh counts as one,
so a multiply-accumulate counts as two. Bytes: every element that has to be read is read once,
every result is written once, and nothing else is moved; a real kernel moves more.
"""

import inspect
from functools import cache
from math import prod
from typing import Any

from gpucnn.layers.base import Parameter
from gpucnn.ops.base import Ops
from gpucnn.ops.shapes import Conv2dShape, Pool2dShape
from gpucnn.profiling.rules import (
    Arguments,
    Rule,
    Work,
    adam,
    each,
    gather,
    rmsprop,
    sgd,
    update,
)
from gpucnn.profiling.sizes import Shaped, count, nbytes, touched
from gpucnn.profiling.spans import Call


def work(method: str, call: Call) -> Work:
    """FLOPs and minimal bytes of one call of a method of the contract, or of `set_grad`."""
    bound = _signature(method).bind(None, *call.args, **call.options)
    bound.apply_defaults()
    rule = _set_grad if method == SET_GRAD else WORK[method]
    return rule(dict(bound.arguments), call.result)


@cache
def _signature(method: str) -> inspect.Signature:
    return inspect.signature(getattr(Parameter if method == SET_GRAD else Ops, method))


def _read(s: Conv2dShape | Pool2dShape, kernel: tuple[int, int], x: Shaped) -> int:
    """Bytes of the part of x that the windows reach."""
    high = touched(s.h, s.p, kernel[0], s.stride[0], s.padding[0][0], s.dilation[0])
    wide = touched(s.w, s.q, kernel[1], s.stride[1], s.padding[1][0], s.dilation[1])
    return s.n * s.c * high * wide * x.itemsize


def _geometry(a: Arguments, x_shape: Any, w_shape: Any) -> Conv2dShape:
    keys = ("stride", "padding", "dilation", "groups")
    return Conv2dShape.of(x_shape, w_shape, **{key: a[key] for key in keys})


def _conv2d_forward(a: Arguments, y: Any) -> Work:
    x, w, b = a["x"], a["w"], a["b"]
    s = _geometry(a, x.shape, w.shape)
    extra = (b is not None) + (a["residual"] is not None) + (a["activation"] is not None)
    flops = 2 * s.macs + extra * count(y)
    return Work(flops, _read(s, (s.r, s.s), x) + nbytes(w, b, a["residual"], y))


def _conv2d_backward_input(a: Arguments, dx: Any) -> Work:
    s = _geometry(a, a["x_shape"], a["w"].shape)
    extra = (a["residual"] is not None) + (a["relu_y"] is not None)
    arrays = (a["dy"], a["w"], a["residual"], a["relu_y"], dx)
    return Work(2 * s.macs + extra * count(dx), nbytes(*arrays))


def _conv2d_backward_weight(a: Arguments, dw: Any) -> Work:
    x = a["x"]
    s = _geometry(a, x.shape, a["w_shape"])
    return Work(2 * s.macs, nbytes(a["dy"], dw) + _read(s, (s.r, s.s), x))


def _pool(flops_a_cell: int) -> Rule:
    """Forward pools: `flops_a_cell` for each cell of each window."""

    def rule(a: Arguments, out: Any) -> Work:
        s = _window(a, a["x"].shape)
        y = out[0] if isinstance(out, tuple) and not isinstance(out, Shaped) else out
        return Work(flops_a_cell * s.cells * count(y), _read(s, s.kernel, a["x"]) + nbytes(out))

    return rule


def _unpool(flops_a_cell: int) -> Rule:
    """Backward pools that write to every cell of a window."""

    def rule(a: Arguments, dx: Any) -> Work:
        s = _window(a, dx.shape)
        arrays = (value for value in a.values() if isinstance(value, Shaped))
        return Work(flops_a_cell * s.cells * count(a["dy"]), nbytes(*arrays, dx))

    return rule


def _window(a: Arguments, x_shape: Any) -> Pool2dShape:
    keys = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return Pool2dShape.of(x_shape, **{key: a[key] for key in keys if key in a})


def _max_pool2d_backward(a: Arguments, dx: Any) -> Work:
    flops = count(a["dy"]) * (1 if a["relu_y"] is None else 2)
    return Work(flops, nbytes(a["dy"], a["argmax"], a["relu_y"], dx))


def _linear_forward(a: Arguments, y: Any) -> Work:
    x, w, b = a["x"], a["w"], a["b"]
    macs = prod(x.shape) * w.shape[0]
    extra = (b is not None) + (a["activation"] is not None)
    return Work(2 * macs + extra * count(y), nbytes(x, w, b, y))


def _linear_backward(a: Arguments, out: Any) -> Work:
    dy, x, w = a["dy"], a["x"], a["w"]
    # relu_y is x, which is read for dw already.
    cut = (a["relu_y"] is not None) * count(x)
    return Work(4 * prod(x.shape) * w.shape[0] + count(dy) + cut, nbytes(dy, x, w, out))


def _batch_norm2d_forward(a: Arguments, out: Any) -> Work:
    """Mean 1, variance 3, scale and shift 2; what is kept for backward is x itself."""
    x, statistics = a["x"], (a["running_mean"], a["running_var"])
    written = nbytes(*statistics) if a["train"] else 0
    read = nbytes(x, a["gamma"], a["beta"]) + (0 if a["train"] else nbytes(*statistics))
    # In training the running statistics are read as well as written.
    extra = (a["residual"] is not None) + (a["activation"] is not None)
    flops = ((6 if a["train"] else 2) + extra) * count(x)
    return Work(flops, read + 2 * written + nbytes(a["residual"], out[0]))


def _batch_norm2d_backward(a: Arguments, out: Any) -> Work:
    """The sums 5, dx 4, ReLU 1; dy and x are read, behind a residual and ReLU y too, all alike.

    The gradient of a residual without ReLU is dy itself.
    """
    dy, saved = a["dy"], a["saved"]
    _, _, _, residual, relu = saved
    flops = (9 + relu) * count(dy)
    moved = 2 * nbytes(dy) + nbytes(a["gamma"], out[:3])
    return Work(flops, moved + 2 * nbytes(dy) * (residual and relu))


def _nothing(a: Arguments, out: Any) -> Work:
    """What moves, if anything does, shapes do not tell."""
    return Work(0, 0)


def _set_grad(a: Arguments, out: Any) -> Work:
    return Work(0, 2 * nbytes(a["grad"]))


SET_GRAD = "set_grad"
"""Parameter's method, which copies a gradient into the optimizer's arena."""

WORK: dict[str, Rule] = {
    "asarray": _nothing,
    "to_numpy": _nothing,
    "empty": _nothing,
    "zeros": lambda a, out: Work(0, nbytes(out)),
    "synchronize": _nothing,
    "conv2d_forward": _conv2d_forward,
    "conv2d_backward_input": _conv2d_backward_input,
    "conv2d_backward_weight": _conv2d_backward_weight,
    "conv2d_backward_bias": lambda a, db: Work(count(a["dy"]), nbytes(a["dy"], db)),
    "max_pool2d_forward": _pool(1),
    "max_pool2d_backward": _max_pool2d_backward,
    "avg_pool2d_forward": _pool(1),
    "avg_pool2d_backward": _unpool(1),
    "lp_pool2d_forward": _pool(3),
    "lp_pool2d_backward": _unpool(4),
    "batch_norm2d_forward": _batch_norm2d_forward,
    "batch_norm2d_backward": _batch_norm2d_backward,
    "relu_forward": each(1),
    "relu_backward": each(1),
    "leaky_relu_forward": each(2),
    "leaky_relu_backward": each(2),
    "sigmoid_forward": each(4),
    "sigmoid_backward": each(3),
    "tanh_forward": each(1),
    "tanh_backward": each(3),
    "softmax_forward": each(5),
    "softmax_backward": each(4),
    "softmax_cross_entropy": each(6),
    "mean_squared_error": each(4),
    "linear_forward": _linear_forward,
    "linear_backward": _linear_backward,
    "add": each(1),
    "concat": each(0),
    "split": each(0),
    "dropout_forward": each(1),
    "dropout2d_forward": each(1),
    "drop_block2d_forward": each(1),
    "dropout_backward": each(1),
    "sgd_update": update(sgd, "values", "velocity", "average"),
    "adam_update": update(adam, "values", "first", "second", "average"),
    "rmsprop_update": update(rmsprop, "values", "second", "velocity", "average"),
    "ema_update": update(lambda a: 0, "average"),
    "clip_by_global_norm": update(lambda a: 3, "grads"),
    "max_abs": each(2),
    "all_finite": each(1),
    "gather_images": gather("images"),
    "gather_rows": gather("a"),
    "shift_images": each(0),
    "flip_images": each(0),
    "cut_out_images": each(0),
    "rotate_images": each(7),
    "normalize_images": each(2),
}

METHODS = tuple(WORK)
"""The methods of the contract that are observed."""
