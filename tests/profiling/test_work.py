"""FLOPs and minimal bytes against counts written out as loops, and by hand."""

import inspect
from itertools import product
from typing import Any

import pytest

from gpucnn.ops.base import Ops
from gpucnn.profiling.sizes import Shaped
from gpucnn.profiling.spans import Call
from gpucnn.profiling.work import METHODS, SET_GRAD, work


def f(*shape: int, itemsize: int = 4) -> Shaped:
    return Shaped(shape, itemsize)


def call(name: str, *args: Any, out: Any = None, **options: Any) -> tuple[int, int]:
    return tuple(work(name, Call(args, options, out)))  # type: ignore[return-value]


def test_every_method_of_the_contract_has_a_row() -> None:
    public = {
        name
        for name, value in inspect.getmembers(Ops, inspect.isfunction)
        if not name.startswith("_")
    }
    # They ask or view, and move nothing.
    assert set(METHODS) == public - {"is_array", "not_an_array", "from_dlpack"}


CONVOLUTIONS = [
    {"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    {"stride": 2, "padding": 1, "dilation": 1, "groups": 1},
    {"stride": 3, "padding": 0, "dilation": 1, "groups": 2},
    {"stride": 1, "padding": 2, "dilation": 2, "groups": 2},
]


def convolution(options: dict[str, int]) -> tuple[Any, Any, Any, int, int]:
    """x, w, y, the multiply-accumulates and the elements of x that are read, counted one by one."""
    n, c, h, wide, k, r = 2, 4, 7, 8, 6, 2
    stride, pad = options["stride"], options["padding"]
    dilation, groups = options["dilation"], options["groups"]
    extent = dilation * (r - 1) + 1
    p, q = (h + 2 * pad - extent) // stride + 1, (wide + 2 * pad - extent) // stride + 1
    macs, cells = 0, set()
    for i, _, channel, row, column, a, b in product(
        range(n), range(k), range(c // groups), range(p), range(q), range(r), range(r)
    ):
        macs += 1
        y, x = row * stride - pad + a * dilation, column * stride - pad + b * dilation
        if 0 <= y < h and 0 <= x < wide:
            cells |= {(i, group * (c // groups) + channel, y, x) for group in range(groups)}
    return f(n, c, h, wide), f(k, c // groups, r, r), f(n, k, p, q), macs, len(cells)


def size(*arrays: Shaped) -> int:
    total = 0
    for array in arrays:
        count = 1
        for length in array.shape:
            count *= length
        total += count
    return total


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolutions(options: dict[str, int]) -> None:
    x, w, y, macs, read = convolution(options)
    assert call("conv2d_forward", x, w, out=y, **options) == (
        2 * macs,
        4 * (read + size(w) + size(y)),
    )
    b = f(w.shape[0])
    relu = call("conv2d_forward", x, w, b, out=y, activation="relu", **options)
    assert relu == (2 * macs + 2 * size(y), 4 * (read + size(w, b, y)))
    behind = call("conv2d_forward", x, w, b, out=y, residual=y, **options)
    assert behind == (2 * macs + 2 * size(y), 4 * (read + size(w, b, y, y)))
    assert call("conv2d_backward_input", y, w, x.shape, out=x, **options) == (
        2 * macs,
        4 * size(y, w, x),
    )
    fused = {"residual": x, "relu_y": x, **options}
    assert call("conv2d_backward_input", y, w, x.shape, out=x, **fused) == (
        2 * macs + 2 * size(x),
        4 * size(y, w, x, x, x),
    )
    assert call("conv2d_backward_weight", y, x, w.shape, out=w, **options) == (
        2 * macs,
        4 * (size(y, w) + read),
    )


def test_float64_is_twice_the_bytes() -> None:
    x, w, y = (f(*s, itemsize=8) for s in ((1, 1, 3, 3), (1, 1, 3, 3), (1, 1, 1, 1)))
    assert call("conv2d_forward", x, w, out=y) == (18, 8 * 19)


def test_a_strided_pool_reads_what_its_windows_reach() -> None:
    x, y, argmax = f(1, 2, 5, 5), f(1, 2, 2, 2), f(1, 2, 2, 2, itemsize=1)
    # Windows of 2 at 0 and 3: 16 of the 25 cells of a channel; 8 windows of 4 cells.
    flops, moved = call("max_pool2d_forward", x, out=(y, argmax), kernel_size=2, stride=3)
    assert (flops, moved) == (32, 4 * 2 * 16 + 4 * 8 + 8)
    assert call("max_pool2d_backward", y, argmax, x.shape, out=x, kernel_size=2, stride=3) == (
        8, 4 * 8 + 8 + 4 * 50,
    )  # fmt: skip
    behind = {"relu_y": y, "kernel_size": 2, "stride": 3}
    assert call("max_pool2d_backward", y, argmax, x.shape, out=x, **behind) == (
        16, 4 * 16 + 8 + 4 * 50,
    )  # fmt: skip
    assert call("avg_pool2d_backward", y, x.shape, out=x, kernel_size=2, stride=3) == (
        32, 4 * (8 + 50),
    )  # fmt: skip


def normalised(*, residual: bool, relu: bool) -> Any:
    """What batch norm's forward saves of x (2, 3, 4, 4)."""
    return ((2, 3, 4, 4), "float32", (f(2, 3, 4, 4), f(3)), residual, relu)


A, B = f(3, 5), f(3, 5)


@pytest.mark.parametrize(
    ("name", "args", "options", "out", "flops", "moved"),
    [
        ("relu_forward", (A,), {}, A, 15, 120),
        ("relu_backward", (A, B), {}, A, 15, 180),
        ("add", (A, B), {}, A, 15, 180),
        ("concat", ((A, B),), {"axis": 0}, f(6, 5), 0, 240),
        ("split", (f(6, 5), (3, 3)), {"axis": 0}, (A, B), 0, 240),
        ("zeros", ((3, 5), "float32"), {}, A, 0, 60),
        ("empty", ((3, 5), "float32"), {}, A, 0, 0),
        ("linear_forward", (A, f(2, 5), f(2)), {}, f(3, 2), 66, 4 * (15 + 10 + 2 + 6)),
        (
            "linear_forward", (A, f(2, 5), f(2)), {"activation": "relu"}, f(3, 2),
            72, 4 * (15 + 10 + 2 + 6),
        ),
        (
            "linear_backward", (f(3, 2), A, f(2, 5)), {}, (A, f(2, 5), f(2)),
            126, 4 * (6 + 15 + 10 + 15 + 10 + 2),
        ),
        (
            "linear_backward", (f(3, 2), A, f(2, 5)), {"relu_y": A}, (A, f(2, 5), f(2)),
            141, 4 * (6 + 15 + 10 + 15 + 10 + 2),
        ),
        ("dropout_forward", (A,), {"rate": 0.5, "seed": 0, "layer": 0, "step": 0}, (A, B), 15, 180),
        ("sgd_update", (f(8), f(8), None), {"lr": 0.1}, None, 16, 4 * 24),
        ("sgd_update", (f(8), f(8), f(8)), {"lr": 0.1, "momentum": 0.9}, None, 32, 4 * 40),
        ("adam_update", (f(8),) * 4, {"lr": 0.1, "step": 1}, None, 112, 4 * 56),
        ("ema_update", (f(8), f(8)), {"decay": 0.9}, None, 24, 4 * 24),
        (
            "sgd_update", (f(8), f(8), None), {"lr": 0.1, "average": f(8), "decay": 0.9}, None,
            40, 4 * 40,
        ),
        ("clip_by_global_norm", (f(8),), {"max_norm": 1.0}, f(), 24, 4 * 17),
        ("all_finite", (f(8),), {}, f(itemsize=1), 8, 33),
        (
            "gather_images", (f(60, 1, 3, 5, itemsize=1), f(2)), {}, f(2, 1, 3, 5),
            30, 30 + 4 * (2 + 30),
        ),
        ("gather_images", (f(60, 1, 3, 5), f(2)), {}, f(2, 1, 3, 5), 0, 4 * (30 + 2 + 30)),
        ("gather_rows", (f(60, 10), f(2)), {}, f(2, 10), 0, 4 * (20 + 2 + 20)),
        ("shift_images", (f(2, 1, 3, 5), f(2, 2)), {}, f(2, 1, 3, 5), 0, 4 * (30 + 4 + 30)),
        ("normalize_images", (f(2, 1, 3, 5), f(1), f(1)), {}, f(2, 1, 3, 5), 60, 4 * 62),
        (SET_GRAD, (f(8),), {}, None, 0, 64),
        (
            "batch_norm2d_backward",
            (f(2, 3, 4, 4), normalised(residual=False, relu=False), f(3)), {},
            (f(2, 3, 4, 4), f(3), f(3)), 9 * 96, 4 * (3 * 96 + 9),
        ),
        (
            "batch_norm2d_backward",
            (f(2, 3, 4, 4), normalised(residual=False, relu=True), f(3)), {},
            (f(2, 3, 4, 4), f(3), f(3)), 10 * 96, 4 * (3 * 96 + 9),
        ),
        (
            "batch_norm2d_backward",
            (f(2, 3, 4, 4), normalised(residual=True, relu=False), f(3)), {},
            (f(2, 3, 4, 4), f(3), f(3), f(2, 3, 4, 4)), 9 * 96, 4 * (3 * 96 + 9),
        ),
        (
            "batch_norm2d_backward",
            (f(2, 3, 4, 4), normalised(residual=True, relu=True), f(3)), {},
            (f(2, 3, 4, 4), f(3), f(3), f(2, 3, 4, 4)), 10 * 96, 4 * (5 * 96 + 9),
        ),
    ],
)  # fmt: skip
def test_by_hand(
    name: str, args: Any, options: dict[str, Any], out: Any, flops: int, moved: int
) -> None:
    assert call(name, *args, out=out, **options) == (flops, moved)


@pytest.mark.parametrize(("train", "flops", "extra"), [(True, 6, 6 + 12), (False, 2, 6 + 6)])
def test_batch_norm_forward(train: bool, flops: int, extra: int) -> None:
    x, channels = f(2, 3, 4, 4), [f(3)] * 4
    out = (x, normalised(residual=False, relu=False))
    found = call("batch_norm2d_forward", x, *channels, out=out, train=train)
    assert found == (flops * 96, 4 * (2 * 96 + extra))
    fused = {"train": train, "residual": x, "activation": "relu"}
    found = call("batch_norm2d_forward", x, *channels, out=out, **fused)
    assert found == ((flops + 2) * 96, 4 * (3 * 96 + extra))
