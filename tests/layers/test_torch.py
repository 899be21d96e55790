"""Layers against PyTorch in float64: outputs, input gradients, parameter gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn import layers as gl
from gpucnn.errors import DeviceError
from gpucnn.layers import Layer
from gpucnn.ops.base import Ops
from tests.layers.harness import run, spread
from tests.oracles.tolerance import bound

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
nn = torch.nn


def padded(module: Any, left: int, right: int, top: int, bottom: int) -> Any:
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), module)


Case = tuple[Callable[[], Layer], Callable[[], Any], tuple[int, ...]]
CASES: dict[str, Case] = {
    "conv2d": (lambda: gl.Conv2d(4, 3), lambda: nn.Conv2d(3, 4, 3), (3, 7, 6)),
    "conv2d_all": (
        lambda: gl.Conv2d(6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(2, 3), groups=3),
        lambda: nn.Conv2d(3, 6, (3, 2), (2, 1), (1, 2), (2, 3), groups=3),
        (3, 7, 6),
    ),
    "conv2d_asymmetric": (
        lambda: gl.Conv2d(2, 3, padding=((0, 1), (2, 0)), bias=False),
        lambda: padded(nn.Conv2d(3, 2, 3, bias=False), 2, 0, 0, 1),
        (3, 5, 6),
    ),
    "conv2d_same": (
        lambda: gl.Conv2d(2, (4, 3), padding="same", dilation=(1, 2)),
        lambda: padded(nn.Conv2d(3, 2, (4, 3), dilation=(1, 2)), 2, 2, 1, 2),
        (3, 5, 6),
    ),
    "conv2d_floor": (
        lambda: gl.Conv2d(2, 3, stride=2, rounding="floor"),
        lambda: nn.Conv2d(1, 2, 3, 2),
        (1, 6, 8),
    ),
    "conv_transpose2d": (
        lambda: gl.ConvTranspose2d(4, 3, stride=2),
        lambda: nn.ConvTranspose2d(2, 4, 3, 2),
        (2, 4, 3),
    ),
    "conv_transpose2d_output_padding": (
        lambda: gl.ConvTranspose2d(4, 3, stride=(2, 3), padding=1, output_padding=(1, 2)),
        lambda: nn.ConvTranspose2d(2, 4, 3, (2, 3), 1, (1, 2)),
        (2, 4, 3),
    ),
    "conv_transpose2d_all": (
        lambda: gl.ConvTranspose2d(
            6, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 3), groups=2, output_padding=1
        ),
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (2, 1), 1, 2, dilation=(2, 3)),
        (4, 4, 3),
    ),
    "conv_transpose2d_same": (
        # 'same' with kernel 4, stride 2 takes a cell off each side, so that P = 2·H.
        lambda: gl.ConvTranspose2d(2, 4, stride=2, padding="same", bias=False),
        lambda: nn.ConvTranspose2d(3, 2, 4, 2, 1, bias=False),
        (3, 3, 4),
    ),
    "max_pool2d": (lambda: gl.MaxPool2d(2), lambda: nn.MaxPool2d(2), (2, 6, 4)),
    "max_pool2d_all": (
        lambda: gl.MaxPool2d(3, stride=(1, 2), padding=1, dilation=(2, 1), ceil_mode=True),
        lambda: nn.MaxPool2d(3, (1, 2), 1, (2, 1), ceil_mode=True),
        (2, 6, 6),
    ),
    "avg_pool2d": (
        lambda: gl.AvgPool2d((3, 2), stride=2, padding=1, ceil_mode=True),
        lambda: nn.AvgPool2d((3, 2), 2, 1, ceil_mode=True),
        (2, 6, 5),
    ),
    "avg_pool2d_exclude": (
        lambda: gl.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        (2, 5, 4),
    ),
    "lp_pool2d": (lambda: gl.LpPool2d(2), lambda: nn.LPPool2d(2, 2), (2, 4, 6)),
    "global_avg_pool2d": (
        lambda: gl.GlobalAvgPool2d(),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (3, 4, 5),
    ),
    "flatten": (lambda: gl.Flatten(), lambda: nn.Flatten(), (2, 3, 4)),
    "relu": (lambda: gl.Relu(), lambda: nn.ReLU(), (4, 3)),
    "leaky_relu": (lambda: gl.LeakyRelu(), lambda: nn.LeakyReLU(), (4, 3)),
    "sigmoid": (lambda: gl.Sigmoid(), lambda: nn.Sigmoid(), (12,)),
    "tanh": (lambda: gl.Tanh(), lambda: nn.Tanh(), (12,)),
    "softmax": (lambda: gl.Softmax(), lambda: nn.Softmax(-1), (7,)),
    "linear": (lambda: gl.Linear(5), lambda: nn.Linear(8, 5), (8,)),
    "batch_norm2d": (
        lambda: gl.BatchNorm2d(momentum=0.3, eps=1e-3),
        lambda: nn.BatchNorm2d(3, momentum=0.3, eps=1e-3),
        (3, 4, 5),
    ),
    "network": (
        lambda: gl.Sequential(
            [
                gl.Conv2d(4, 3, padding=1),
                gl.BatchNorm2d(),
                gl.Relu(),
                gl.MaxPool2d(2),
                gl.Flatten(),
                gl.Linear(3),
            ]
        ),
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 3),
        ),
        (2, 6, 6),
    ),
}

N = 3


def pair(name: str, ops: Ops) -> tuple[Layer, Any]:
    """Our layer and PyTorch's, in float64, with the same weights."""
    make, make_torch, shape = CASES[name]
    layer, module = make(), make_torch().double()
    layer.build(shape, ops, 0, dtype="float64")
    ours, theirs = layer.parameters(), list(module.parameters())
    assert [p.value.shape for p in ours] == [tuple(p.shape) for p in theirs]
    for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        value = spread(mine.value.shape, i)
        mine.value[...] = ops.asarray(value)
        other.data.copy_(torch.from_numpy(value))
    return layer, module


def assert_near(actual: Any, expected: Any) -> None:
    """Results here sum at most 500 products of factors of at most 2 in size, 36 of them in depth.

    Then Σ|a||b| <= 500·4·(1 + the largest result), and both sides round at most 500 times; batch
    normalisation divides by a standard deviation above 1/2, which the factor 4 covers.
    """
    expected = expected.detach().numpy()
    assert actual.shape == expected.shape
    allowed = bound(500, 4 * (1 + abs(expected).max(initial=0)), "float64")
    assert abs(actual - expected).max(initial=0) <= allowed


@pytest.mark.parametrize("name", CASES)
def test_forward_and_backward(ops: Ops, name: str) -> None:
    layer, module = pair(name, ops)
    x = spread((N, *CASES[name][2]), 7)
    x_torch = torch.from_numpy(x).requires_grad_()
    y_torch = module(x_torch)
    dy = spread(tuple(y_torch.shape), 8)
    y_torch.backward(torch.from_numpy(dy))
    y, dx = run(layer, x, dy)
    assert y.shape[1:] == layer.output_shape
    assert_near(y, y_torch)
    assert_near(dx, x_torch.grad)
    for mine, other in zip(layer.parameters(), module.parameters(), strict=True):
        assert_near(ops.to_numpy(mine.grad), other.grad)


def test_batch_norm_running_statistics_and_evaluation(ops: Ops) -> None:
    layer, module = pair("batch_norm2d", ops)
    for step in range(3):
        x = spread((N, 3, 4, 5), step) * (step + 1)
        run(layer, x)
        module(torch.from_numpy(x))
    assert_near(ops.to_numpy(layer.running_mean), module.running_mean)
    assert_near(ops.to_numpy(layer.running_var), module.running_var)
    module.eval()
    x = spread((N, 3, 4, 5), 9)
    before = ops.to_numpy(layer.running_mean).copy()
    assert_near(run(layer, x, train=False), module(torch.from_numpy(x)))
    np.testing.assert_array_equal(ops.to_numpy(layer.running_mean), before)


def test_batch_norm_frozen_still_uses_the_batch(ops: Ops) -> None:
    layer = gl.BatchNorm2d(frozen=True)
    layer.build((2, 3, 3), ops, 0, dtype="float64")
    module = nn.BatchNorm2d(2).double().requires_grad_(False)
    x = spread((N, 2, 3, 3)) + 5
    assert_near(run(layer, x), module(torch.from_numpy(x)))
    assert_near(ops.to_numpy(layer.running_mean), module.running_mean)


def test_residual_and_concat(ops: Ops) -> None:
    conv, side = nn.Conv2d(2, 2, 3, padding=1).double(), nn.Conv2d(2, 1, 1).double()
    residual = gl.Residual([gl.Conv2d(2, 3, padding=1), gl.Tanh()])
    model = gl.Sequential([residual, gl.Concat([[gl.Conv2d(1, 1)], []])])
    model.build((2, 4, 4), ops, 0, dtype="float64")
    theirs = [*conv.parameters(), *side.parameters()]
    for mine, other in zip(model.parameters(), theirs, strict=True):
        other.data.copy_(torch.from_numpy(ops.to_numpy(mine.value)))
    x, dy = spread((N, 2, 4, 4)), spread((N, 3, 4, 4), 1)
    x_torch = torch.from_numpy(x).requires_grad_()
    hidden = x_torch + torch.tanh(conv(x_torch))
    y_torch = torch.cat([side(hidden), hidden], dim=1)
    y_torch.backward(torch.from_numpy(dy))
    y, dx = run(model, x, dy)
    assert_near(y, y_torch)
    assert_near(dx, x_torch.grad)
    for mine, other in zip(model.parameters(), theirs, strict=True):
        assert_near(ops.to_numpy(mine.grad), other.grad)


def test_a_layer_takes_a_tensor_of_the_host_in_place() -> None:
    """By DLPack; one that needs a gradient of PyTorch's is refused, as PyTorch does."""
    layer = gl.Relu()
    layer.build((3,), gpucnn.get_ops("cpu"), 0)
    tensor = torch.tensor([[-1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(layer.forward(tensor, train=True), [[0, 0, 2]])
    np.testing.assert_array_equal(layer.backward(torch.ones(1, 3)), [[0, 0, 1]])
    with pytest.raises(DeviceError, match=r"cannot view a Tensor .*require"):
        layer.forward(tensor.requires_grad_(), train=False)
