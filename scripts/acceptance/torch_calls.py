"""The same work in PyTorch, which hands it to cuDNN and cuBLAS."""

from collections.abc import Callable
from typing import Any

from acceptance.cases import Case

MODES = ("fp32", "tf32", "fp32 channels_last", "tf32 channels_last")


def torch_call(torch: Any, case: Case, mode: str) -> Callable[[], Any] | None:
    """PyTorch's call for a case in a mode; None where the case has no counterpart here."""
    allowed = mode.startswith("tf32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True
    last = mode.endswith("channels_last")

    def draw(*shape: int) -> Any:
        a = torch.randn(shape, device="cuda")
        return a.to(memory_format=torch.channels_last) if last and len(shape) == 4 else a

    family, _, _ = case.method.partition("_")
    if family == "conv2d" and case.method != "conv2d_backward_bias":
        return _convolution(torch, case, draw)
    if case.method.startswith(("max_pool2d", "avg_pool2d")) and not allowed:
        return _pool(torch, case, draw)
    if family == "batch" and not allowed:
        return _batch_norm(torch, case, draw)
    if family == "linear" and not last:
        return _linear(torch, case, draw)
    return None


def _convolution(torch: Any, case: Case, draw: Callable[..., Any]) -> Callable[[], Any]:
    n, c, h, w, k, r, s, stride, padding, dilation, groups = case.sizes
    image, kernel = draw(n, c, h, w), draw(k, c // groups, r, s)

    def forward() -> Any:
        return torch.nn.functional.conv2d(image, kernel, None, stride, padding, dilation, groups)

    if case.method == "conv2d_forward":
        return forward
    dy = torch.randn_like(forward())
    wanted = [
        case.method == "conv2d_backward_input",
        case.method == "conv2d_backward_weight",
        False,
    ]
    place = ([stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups, wanted)
    return lambda: torch.ops.aten.convolution_backward(dy, image, kernel, None, *place)


def _pool(torch: Any, case: Case, draw: Callable[..., Any]) -> Callable[[], Any]:
    x, (window, stride, padding) = draw(*case.sizes[:4]), case.sizes[4:]
    size = ([window] * 2, [stride] * 2, [padding] * 2)
    aten = torch.ops.aten
    if case.method.startswith("max"):
        place = (*size, [1, 1], False)
        if case.method.endswith("forward"):
            return lambda: aten.max_pool2d_with_indices(x, *place)
        y, indices = aten.max_pool2d_with_indices(x, *place)
        return lambda: aten.max_pool2d_with_indices_backward(y, x, *place, indices)
    place = (*size, False, True, None)
    if case.method.endswith("forward"):
        return lambda: aten.avg_pool2d(x, *place)
    y = aten.avg_pool2d(x, *place)
    return lambda: aten.avg_pool2d_backward(y, x, *place)


def _batch_norm(torch: Any, case: Case, draw: Callable[..., Any]) -> Callable[[], Any]:
    x, (gamma, beta, mean) = draw(*case.sizes), (draw(case.sizes[1]) for _ in range(3))
    var, train, aten = torch.ones_like(mean), not case.shape.endswith("eval"), torch.ops.aten

    def forward() -> Any:
        return aten.native_batch_norm(x, gamma, beta, mean, var, train, 0.1, 1e-5)

    if case.method.endswith("forward"):
        return forward
    y, batch_mean, inverse_std = forward()
    place = (gamma, mean, var, batch_mean, inverse_std, train, 1e-5, [True] * 3)
    return lambda: aten.native_batch_norm_backward(y, x, *place)


def _linear(torch: Any, case: Case, draw: Callable[..., Any]) -> Callable[[], Any]:
    n, wide, out = case.sizes
    x, w, b, dy = draw(n, wide), draw(out, wide), draw(out), draw(n, out)
    if case.method.endswith("forward"):
        return lambda: torch.nn.functional.linear(x, w, b)
    return lambda: (dy @ w, dy.T @ x, dy.sum(0))
