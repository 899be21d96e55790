"""The same work in PyTorch, which on a GPU hands it to cuDNN and cuBLAS."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from gpucnn.profiling.benchmark import torch_elements
from gpucnn.profiling.benchmark.cases import EVAL, Case, conv_shape

MODES = ("fp32", "tf32", "fp32 channels_last", "tf32 channels_last")
Draw = Callable[..., Any]


def use_mode(torch: Any, mode: str) -> None:
    """Let the calls that follow use TF32, or not; cuDNN tries its algorithms and takes the best."""
    allowed = mode.startswith("tf32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True


def torch_drawer(torch: Any, mode: str, device: str, dtype: str = "float32") -> Draw:
    """The numbers that `cases.drawer` draws, as PyTorch's arrays in the mode's layout."""
    rng = np.random.default_rng(0)
    last = mode.endswith("channels_last")

    def draw(*shape: int) -> Any:
        count = prod(shape)
        drawn = rng.standard_normal(min(count, 1_000_003), dtype="float32").astype(dtype)
        a = torch.from_numpy(drawn).to(device)
        a = a.repeat(-(-count // a.numel()))[:count].reshape(shape).clone()
        return a.to(memory_format=torch.channels_last) if last and len(shape) == 4 else a

    return draw


def torch_call(torch: Any, case: Case, draw: Draw, mode: str) -> Callable[[], Any] | None:
    """PyTorch's call for a case in a mode; None where the case has no counterpart here.

    It returns what the case does, or the first few arrays of it that mean the same.
    """
    allowed, last = mode.startswith("tf32"), mode.endswith("channels_last")
    family, _, _ = case.method.partition("_")
    if family == "conv2d" and case.method != "conv2d_backward_bias":
        return _convolution(torch, case, draw)
    if case.method.startswith(("max_pool2d", "avg_pool2d")) and not allowed:
        return _pool(torch, case, draw)
    if family == "batch" and not allowed:
        return _batch_norm(torch, case, draw)
    if family == "linear" and not last:
        return _linear(torch, case, draw)
    return torch_elements.call(torch, case, draw) if not (allowed or last) else None


def comparable(method: str) -> bool:
    """Whether PyTorch's result is the same: its dropout draws other numbers."""
    return not method.startswith("drop")


def _convolution(torch: Any, case: Case, draw: Draw) -> Callable[[], Any]:
    n, c, h, w, k, r, s, stride, padding, dilation, groups = case.sizes
    shape = conv_shape(case.sizes)
    image, kernel = (n, c, h, w), (k, c // groups, r, s)
    if case.method == "conv2d_forward":
        x, weight = draw(*image), draw(*kernel)
        how = (stride, padding, dilation, groups)
        return lambda: torch.nn.functional.conv2d(x, weight, None, *how)
    place = ([stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups)
    # The image is taken for its shape alone where its own gradient is asked for; so is the kernel.
    backward, dy = torch.ops.aten.convolution_backward, draw(*shape.y_shape)
    if case.method == "conv2d_backward_input":
        weight, x = draw(*kernel), draw(*image)
        wanted, which = [True, False, False], 0
    else:
        x, weight = draw(*image), draw(*kernel)
        wanted, which = [False, True, False], 1
    return lambda: backward(dy, x, weight, None, *place, wanted)[which]


def _pool(torch: Any, case: Case, draw: Draw) -> Callable[[], Any]:
    x, (window, stride, padding) = draw(*case.sizes[:4]), case.sizes[4:]
    size = ([window] * 2, [stride] * 2, [padding] * 2)
    aten = torch.ops.aten
    if case.method.startswith("max"):
        window_of = (*size, [1, 1], False)
        if case.method.endswith("forward"):
            return lambda: aten.max_pool2d_with_indices(x, *window_of)[0]
        y, indices = aten.max_pool2d_with_indices(x, *window_of)
        return lambda: aten.max_pool2d_with_indices_backward(y, x, *window_of, indices)
    place = (*size, False, True, None)
    if case.method.endswith("forward"):
        return lambda: aten.avg_pool2d(x, *place)
    y = aten.avg_pool2d(x, *place)
    return lambda: aten.avg_pool2d_backward(y, x, *place)


def _batch_norm(torch: Any, case: Case, draw: Draw) -> Callable[[], Any]:
    c, aten = case.sizes[1], torch.ops.aten
    x, gamma, beta = draw(*case.sizes), draw(c), draw(c)
    mean, var = torch.zeros_like(gamma), torch.ones_like(gamma)
    train = not case.shape.endswith(EVAL)

    def forward() -> Any:
        return aten.native_batch_norm(x, gamma, beta, mean, var, train, 0.1, 1e-5)

    if case.method.endswith("forward"):
        return lambda: forward()[0]
    dy = draw(*case.sizes)
    _, batch_mean, inverse_std = forward()
    place = (gamma, mean, var, batch_mean, inverse_std, train, 1e-5, [True] * 3)
    return lambda: aten.native_batch_norm_backward(dy, x, *place)


def _linear(torch: Any, case: Case, draw: Draw) -> Callable[[], Any]:
    n, wide, out = case.sizes
    if case.method.endswith("forward"):
        x, w, b = draw(n, wide), draw(out, wide), draw(out)
        return lambda: torch.nn.functional.linear(x, w, b)
    dy, x, w = draw(n, out), draw(n, wide), draw(out, wide)
    return lambda: (dy @ w, dy.T @ x, dy.sum(0))
