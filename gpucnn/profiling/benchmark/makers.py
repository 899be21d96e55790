"""The cases of every Ops method over a table of shapes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import EVAL, Call, Case, conv_shape, shrinking
from gpucnn.profiling.benchmark.images import image_cases

Table = Mapping[str, Mapping[str, Sequence[int]]]
"""Kind of shapes -> name -> sizes, as in configs/benchmark_shapes.yaml."""


def _convolutions(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    shape = conv_shape(sizes)
    names = ("stride", "padding", "dilation", "groups")
    how: dict[str, Any] = dict(zip(names, sizes[7:], strict=True))
    x, w, y = shape.x_shape, shape.w_shape, shape.y_shape
    moved = 4 * (prod(x) + prod(w) + prod(y))

    def forward(ops: Ops, draw: Any) -> Call:
        return partial(ops.conv2d_forward, draw(*x), draw(*w), **how)

    def backward_input(ops: Ops, draw: Any) -> Call:
        return partial(ops.conv2d_backward_input, draw(*y), draw(*w), x, **how)

    def backward_weight(ops: Ops, draw: Any) -> Call:
        return partial(ops.conv2d_backward_weight, draw(*y), draw(*x), w, **how)

    def backward_bias(ops: Ops, draw: Any) -> Call:
        return partial(ops.conv2d_backward_bias, draw(*y))

    for prepare in (forward, backward_input, backward_weight):
        yield Case(f"conv2d_{prepare.__name__}", name, sizes, prepare, 2 * shape.macs, moved)
    yield Case("conv2d_backward_bias", name, sizes, backward_bias, prod(y), 4 * prod(y))


def _pools(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    x, (window, stride, padding) = sizes[:4], sizes[4:]
    plain: dict[str, Any] = {"kernel_size": window, "stride": stride}
    padded: dict[str, Any] = {**plain, "padding": padding}

    def max_pool(ops: Ops, draw: Any, back: bool) -> Call:
        a = draw(*x)
        if not back:
            return partial(ops.max_pool2d_forward, a, **padded)
        y, argmax = ops.max_pool2d_forward(a, **padded)
        return partial(ops.max_pool2d_backward, y, argmax, x, **padded)

    def avg_pool(ops: Ops, draw: Any, back: bool) -> Call:
        a = draw(*x)
        if not back:
            return partial(ops.avg_pool2d_forward, a, **padded)
        return partial(ops.avg_pool2d_backward, ops.avg_pool2d_forward(a, **padded), x, **padded)

    def lp_pool(ops: Ops, draw: Any, back: bool) -> Call:
        a = draw(*x)
        if not back:
            return partial(ops.lp_pool2d_forward, a, **plain)
        y = ops.lp_pool2d_forward(a, **plain)
        return partial(ops.lp_pool2d_backward, y, a, y, **plain)

    for prepare in (max_pool, avg_pool, lp_pool):
        for way in ("forward", "backward"):
            run = partial(prepare, back=way == "backward")
            moved = 4 * prod(x) * (1 + stride**2) // stride**2
            yield Case(f"{prepare.__name__}2d_{way}", name, sizes, run, window**2 * prod(x), moved)


def _batch_norms(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    c = sizes[1]

    def forward(ops: Ops, draw: Any, back: bool, train: bool) -> Call:
        x, gamma, beta = draw(*sizes), draw(c), draw(c)
        mean, var = ops.zeros((c,), x.dtype), ops.asarray(np.ones(c), x.dtype.name)

        def call() -> Any:
            y, _ = ops.batch_norm2d_forward(x, gamma, beta, mean, var, train=train)
            return y, mean, var

        if not back:
            return call
        # Not y as dy, as the pools do: the gradient of that is zero, and all of it rounding.
        dy = draw(*sizes)
        _, saved = ops.batch_norm2d_forward(x, gamma, beta, mean, var, train=train)
        return partial(ops.batch_norm2d_backward, dy, saved, gamma)

    for train, what in ((True, ""), (False, EVAL)):
        for way in ("forward", "backward"):
            run = partial(forward, back=way == "backward", train=train)
            moved = 4 * prod(sizes) * (2 if way == "forward" else 3)
            yield Case(f"batch_norm2d_{way}", name + what, sizes, run, 8 * prod(sizes), moved)
    yield from _elements(name, sizes)
    yield from image_cases(name, sizes)


def _elements(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    """The operations by element, by row and of dropout over one array."""
    moved = 4 * prod(sizes)
    draw_of: dict[str, Any] = {"rate": 0.3, "seed": 5, "layer": 1, "step": 2}

    def unary(ops: Ops, draw: Any, method: str, **options: Any) -> Call:
        return partial(getattr(ops, method), draw(*sizes), **options)

    def binary(ops: Ops, draw: Any, method: str) -> Call:
        return partial(getattr(ops, method), draw(*sizes), draw(*sizes))

    def joined(ops: Ops, draw: Any) -> Call:
        return partial(ops.concat, [draw(*sizes), draw(*sizes)], axis=1)

    def undone(ops: Ops, draw: Any) -> Call:
        x = draw(*sizes)
        _, mask = ops.dropout_forward(x, **draw_of)
        return partial(ops.dropout_backward, x, mask)

    names = ("relu", "leaky_relu", "sigmoid", "tanh", "softmax")
    for method in [f"{n}_forward" for n in names]:
        run = partial(unary, method=method)
        yield Case(method, name, sizes, run, prod(sizes), 2 * moved)
    for method in [*(f"{n}_backward" for n in names), "add", "mean_squared_error"]:
        run = partial(binary, method=method)
        yield Case(method, name, sizes, run, prod(sizes), 3 * moved)
    yield Case("concat", name, sizes, joined, 0, 4 * moved)
    halves = (sizes[1] // 2, sizes[1] - sizes[1] // 2)
    for method, options, arrays in (
        ("split", {"sizes": halves, "axis": 1}, 2),
        ("dropout_forward", draw_of, 3),
        ("dropout2d_forward", draw_of, 2),
        ("drop_block2d_forward", {**draw_of, "block_size": 3}, 3),
        ("max_abs", {}, 1),
        ("all_finite", {}, 1),
    ):
        run = partial(unary, method=method, **options)
        yield Case(method, name, sizes, run, prod(sizes), arrays * moved)
    yield Case("dropout_backward", name, sizes, undone, prod(sizes), 3 * moved)


def _linears(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    n, wide, out = sizes
    flops, moved = 2 * prod(sizes), 4 * (n * wide + out * wide + n * out)

    def forward(ops: Ops, draw: Any) -> Call:
        return partial(ops.linear_forward, draw(n, wide), draw(out, wide), draw(out))

    def backward(ops: Ops, draw: Any) -> Call:
        return partial(ops.linear_backward, draw(n, out), draw(n, wide), draw(out, wide))

    def loss(ops: Ops, draw: Any) -> Call:
        labels = ops.asarray(np.arange(n, dtype="int32") % out)
        return partial(ops.softmax_cross_entropy, draw(n, out), labels, label_smoothing=0.1)

    yield Case("linear_forward", name, sizes, forward, flops, moved)
    yield Case("linear_backward", name, sizes, backward, 2 * flops, 2 * moved)
    yield Case("softmax_cross_entropy", name, sizes, loss, 6 * n * out, 8 * n * out)


def _arenas(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    def update(ops: Ops, draw: Any, method: str, states: int, **options: Any) -> Call:
        arrays = [draw(*sizes) for _ in range(2)]
        arrays += [ops.zeros(sizes, arrays[0].dtype) for _ in range(states)]

        def call() -> Any:
            return getattr(ops, method)(*arrays, **options), *arrays

        return call

    updates: tuple[tuple[str, int, dict[str, Any], int], ...] = (
        ("sgd_update", 1, {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}, 5),
        ("adam_update", 2, {"lr": 0.01, "step": 1}, 7),
        ("rmsprop_update", 2, {"lr": 0.01, "momentum": 0.9}, 7),
        ("ema_update", 0, {"decay": 0.99}, 3),
    )
    for method, states, options, moves in updates:
        run = partial(update, method=method, states=states, **options)
        yield Case(method, name, sizes, run, 8 * prod(sizes), 4 * moves * prod(sizes))

    def clip(ops: Ops, draw: Any) -> Call:
        grads, limits = draw(*sizes), shrinking()
        return lambda: (ops.clip_by_global_norm(grads, max_norm=next(limits)), grads)

    yield Case("clip_by_global_norm", name, sizes, clip, 3 * prod(sizes), 12 * prod(sizes))


MAKERS: dict[str, Callable[[str, tuple[int, ...]], Iterator[Case]]] = {
    "convolutions": _convolutions,
    "pools": _pools,
    "batch_norms": _batch_norms,
    "linears": _linears,
    "arenas": _arenas,
}


def cases(table: Table) -> Iterator[Case]:
    """The cases of a table."""
    for kind, make in MAKERS.items():
        for name, sizes in table.get(kind, {}).items():
            yield from make(name, tuple(sizes))
