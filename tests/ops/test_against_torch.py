"""The same operations in PyTorch, where it is installed: it is no dependency of the project."""

from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from tests.ops.geometries import GEOMETRIES, geometry
from tests.ops.harness import call, normal
from tests.ops.test_pooling import DILATED, SHAPES
from tests.oracles.convolution import sides
from tests.oracles.tolerance import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
F = torch.nn.functional


def tensor(a: np.ndarray, *, grad: bool = False) -> Any:
    return torch.tensor(a, requires_grad=grad)


def pad_list(padding: Any) -> list[int]:
    (top, bottom), (left, right) = sides(padding)
    return [left, right, top, bottom]


@pytest.mark.parametrize("name", [name for name in GEOMETRIES if not name.startswith("batch_0")])
def test_convolution(ops: Ops, dtype: str, name: str) -> None:
    """Any padding, laid around x by F.pad; both sides round: magnitudes doubled."""
    g, kw = geometry(name)
    arrays = [normal(s, dtype, i) for i, s in enumerate((g.x_shape, g.w_shape, g.w_shape[:1]))]
    x, w, b = (tensor(a, grad=True) for a in arrays)
    y = F.conv2d(
        F.pad(x, pad_list(kw.get("padding", 0))), w, b,
        stride=kw.get("stride", 1), dilation=kw.get("dilation", 1), groups=g.groups,
    )  # fmt: skip
    dy = normal(g.y_shape, dtype, 3)
    y.backward(tensor(dy))
    mine = call(ops, "conv2d_forward", *arrays, **kw)
    depth = int(np.prod(g.w_shape[1:]))
    sizes = [abs(a) for a in arrays]
    assert_close(
        mine, y.detach().numpy(), terms=depth + 1, magnitude=2 * g.forward(*sizes), what="y"
    )
    assert_close(
        call(ops, "conv2d_backward_input", dy, arrays[1], g.x_shape, **kw),
        x.grad.numpy(),
        terms=g.w_shape[0] * depth,
        magnitude=2 * g.backward_input(abs(dy), sizes[1]),
        what="dx",
    )
    n, _, p, q = g.y_shape
    assert_close(
        call(ops, "conv2d_backward_weight", dy, arrays[0], g.w_shape, **kw),
        w.grad.numpy(),
        terms=n * p * q + 1,
        magnitude=2 * g.backward_weight(abs(dy), sizes[0]),
        what="dw",
    )
    assert_close(
        call(ops, "conv2d_backward_bias", dy),
        b.grad.numpy(),
        terms=n * p * q + 1,
        magnitude=2 * abs(dy).sum(axis=(0, 2, 3)),
        what="db",
    )


@pytest.mark.parametrize("output_padding", [0, 1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_conv_transpose(ops: Ops, dtype: str, padding: int, output_padding: int) -> None:
    """PyTorch's transposed convolution is our input gradient."""
    dy, w = normal((2, 4, 4, 3), dtype), normal((4, 3, 3, 3), dtype, 1)
    settings = {"stride": 3, "padding": padding}
    y = F.conv_transpose2d(tensor(dy), tensor(w), output_padding=output_padding, **settings)
    mine = call(ops, "conv2d_backward_input", dy, w, tuple(y.shape), **settings)
    size = F.conv_transpose2d(
        tensor(abs(dy)), tensor(abs(w)), output_padding=output_padding, **settings
    )
    assert_close(mine, y.numpy(), terms=4 * 9, magnitude=2 * size.numpy())


def torch_can(kw: dict[str, Any]) -> bool:
    """PyTorch pads alike on both sides, at most by half the window."""
    kernel = np.broadcast_to(kw["kernel_size"], 2)
    return all(
        before == after and 2 * before <= size
        for (before, after), size in zip(sides(kw.get("padding", 0)), kernel, strict=True)
    )


POOLS = {
    name: (shape, kw)
    for name, (shape, kw) in (SHAPES | DILATED).items()
    if torch_can(kw) and shape[0]
}


def torch_pool(kw: dict[str, Any]) -> dict[str, Any]:
    (top, _), (left, _) = sides(kw.get("padding", 0))
    return {**kw, "padding": (top, left)}


@pytest.mark.parametrize("name", POOLS)
def test_max_pool(ops: Ops, dtype: str, name: str) -> None:
    """Integers tie often: PyTorch, too, gives the gradient to the first in reading order."""
    shape, kw = POOLS[name]
    x = np.random.default_rng(0).integers(0, 4, shape).astype(dtype)
    given = tensor(x, grad=True)
    expected = F.max_pool2d(given, **torch_pool(kw))
    y, argmax = call(ops, "max_pool2d_forward", x, **kw)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    # Small whole numbers add up exactly in any order.
    dy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(dtype)
    expected.backward(tensor(dy))
    dx = call(ops, "max_pool2d_backward", dy, argmax, shape, **kw)
    np.testing.assert_array_equal(dx, given.grad.numpy())


@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize("name", [name for name in POOLS if name not in DILATED])
def test_avg_pool(ops: Ops, dtype: str, name: str, include_pad: bool) -> None:
    shape, kw = POOLS[name]
    x = normal(shape, dtype)
    given = tensor(x, grad=True)
    expected = F.avg_pool2d(given, **torch_pool(kw), count_include_pad=include_pad)
    y = call(ops, "avg_pool2d_forward", x, **kw, count_include_pad=include_pad)
    cells = int(np.prod(np.broadcast_to(kw["kernel_size"], 2)))
    bound = F.avg_pool2d(tensor(abs(x)), **torch_pool(kw), count_include_pad=include_pad)
    wanted = expected.detach().numpy()
    assert_close(y, wanted, terms=cells + 1, magnitude=2 * bound.numpy(), what="y")
    dy = abs(normal(y.shape, dtype, 1))
    expected.backward(tensor(dy))
    dx = call(ops, "avg_pool2d_backward", dy, shape, **kw, count_include_pad=include_pad)
    wanted = given.grad.numpy()
    assert_close(dx, wanted, terms=cells + 1, magnitude=2 * wanted, what="dx")


@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(ops: Ops, dtype: str, p: int) -> None:
    """PyTorch's takes no absolute value for odd p; positive numbers leave no difference."""
    x = abs(normal((2, 3, 6, 7), dtype)) + np.asarray(0.1, dtype)
    given = tensor(x, grad=True)
    expected = F.lp_pool2d(given, p, kernel_size=3, stride=2)
    y = call(ops, "lp_pool2d_forward", x, kernel_size=3, stride=2, p=p)
    # Powers and roots as in test_pooling, on both sides.
    terms = 2 * (9 + 8 * (3 + p))
    assert_close(y, expected.detach().numpy(), terms=terms, what="y")
    dy = abs(normal(y.shape, dtype, 1))
    expected.backward(tensor(dy))
    dx = call(ops, "lp_pool2d_backward", dy, x, y, kernel_size=3, stride=2, p=p)
    assert_close(dx, given.grad.numpy(), terms=terms, what="dx")


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm(ops: Ops, dtype: str, train: bool) -> None:
    """Values about 1: all roundings are those of sums of M values and a dozen more."""
    x, dy = normal((4, 3, 5, 5), dtype), normal((4, 3, 5, 5), dtype, 1)
    gamma, beta = normal(3, dtype, 2), normal(3, dtype, 3)
    mean, var = normal(3, dtype, 4), abs(normal(3, dtype, 5)) + np.asarray(1, dtype)
    given = [tensor(a, grad=True) for a in (x, gamma, beta)]
    theirs = [tensor(mean), tensor(var)]
    expected = F.batch_norm(given[0], *theirs, *given[1:], training=train, momentum=0.2, eps=1e-3)
    expected.backward(tensor(dy))
    y, saved = call(
        ops, "batch_norm2d_forward", x, gamma, beta, mean, var,
        train=train, momentum=0.2, eps=1e-3, writes=(3, 4),
    )  # fmt: skip
    terms = 2 * (100 + 16)
    assert_close(y, expected.detach().numpy(), terms=terms, magnitude=8, what="y")
    for mine, other in zip((mean, var), theirs, strict=True):
        assert_close(mine, other.numpy(), terms=terms, magnitude=4, what="running statistics")
    gradients = call(ops, "batch_norm2d_backward", dy, saved, gamma)
    sizes = (8, float(abs(dy).sum()), float(abs(dy).sum()))
    for mine, other, size in zip(gradients, given, sizes, strict=True):
        assert_close(mine, other.grad.numpy(), terms=terms, magnitude=size, what="gradient")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy(ops: Ops, dtype: str, smoothing: float, reduction: str) -> None:
    logits, labels = normal((6, 5), dtype), np.asarray([0, 4, 2, 2, 1, 3], np.int32)
    given = tensor(logits, grad=True)
    expected = F.cross_entropy(
        given, tensor(labels.astype(np.int64)), label_smoothing=smoothing, reduction=reduction
    )
    expected.backward()
    loss, dlogits = call(
        ops, "softmax_cross_entropy", logits, labels,
        label_smoothing=smoothing, reduction=reduction,
    )  # fmt: skip
    # Logits differ by less than 6; see test_dense for the count.
    assert_close(loss, expected.detach().numpy(), terms=2 * (6 + 5 + 8 + 12), what="loss")
    assert_close(
        dlogits, given.grad.numpy(), terms=2 * (5 + 8 + 12 + 4), magnitude=2.0, what="dlogits"
    )


@pytest.mark.parametrize("steps", [5])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("sgd", {"momentum": 0.5}),
        ("sgd", {"weight_decay": 0.01}),
        ("adam", {"weight_decay": 0.1}),
        ("adamw", {"weight_decay": 0.1}),
        ("rmsprop", {"momentum": 0.9, "alpha": 0.9}),
    ],
)
def test_optimizer_steps(
    ops: Ops, dtype: str, method: str, options: dict[str, Any], steps: int
) -> None:
    """Some steps in a row; each adds its roundings to numbers of size 4 at most."""
    values = normal(23, dtype)
    parameter = torch.nn.Parameter(tensor(values))
    theirs = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}[method]
    optimizer = getattr(torch.optim, theirs)([parameter], lr=0.05, **options)
    state = [np.zeros_like(values) for _ in range(2)]
    for step in range(1, steps + 1):
        grads = normal(23, dtype, step)
        parameter.grad = tensor(grads)
        optimizer.step()
        if method == "sgd":
            args: tuple[Any, ...] = (values, grads, state[0] if "momentum" in options else None)
            call(ops, "sgd_update", *args, lr=0.05, **options,
                 writes=(0, 2) if "momentum" in options else (0,))  # fmt: skip
        elif method == "rmsprop":
            call(ops, "rmsprop_update", values, grads, *state, lr=0.05, **options,
                 writes=(0, 2, 3))  # fmt: skip
        else:
            call(ops, "adam_update", values, grads, *state, lr=0.05, step=step, **options,
                 decoupled=method == "adamw", writes=(0, 2, 3))  # fmt: skip
    assert_close(values, parameter.detach().numpy(), terms=2 * 16 * steps, magnitude=4)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh", "softmax"])
def test_activations(ops: Ops, dtype: str, name: str) -> None:
    x, dy = normal((4, 6), dtype), normal((4, 6), dtype, 1)
    given = tensor(x, grad=True)
    extra = {"dim": -1} if name == "softmax" else {}
    expected = getattr(F if name in ("leaky_relu", "softmax") else torch, name)(given, **extra)
    expected.backward(tensor(dy))
    y = call(ops, f"{name}_forward", x)
    dx = call(ops, f"{name}_backward", dy, x if name.endswith("relu") else y)
    # 16 roundings a side (test_elementwise); softmax sums 6 numbers and shifts by less than 8.
    assert_close(y, expected.detach().numpy(), terms=64, what="y")
    assert_close(dx, given.grad.numpy(), terms=64, magnitude=4 * abs(dy).max(), what="dx")
