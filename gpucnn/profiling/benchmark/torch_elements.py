"""PyTorch's calls by element, by row and over arenas; where it has none, a few of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

from gpucnn.profiling.benchmark import torch_images
from gpucnn.profiling.benchmark.cases import Case, conv_shape, shrinking

Draw = Callable[..., Any]
Call = Callable[[], Any]

RATE = 0.3
SLOPE = 0.01


def call(torch: Any, case: Case, draw: Draw) -> Call | None:
    """The call for a case; None where PyTorch has no counterpart."""
    sizes, aten = case.sizes, torch.ops.aten
    unary, binary = _unary(torch, sizes), _binary(torch, sizes)
    if case.method in unary:
        return partial(unary[case.method], draw(*sizes))
    if case.method in binary:
        return partial(binary[case.method], draw(*sizes), draw(*sizes))
    if case.method in torch_images.CALLS:
        return torch_images.CALLS[case.method](torch, sizes, draw)
    if case.method == "conv2d_backward_bias":
        return _bias(case, draw)
    if case.method.startswith("lp_pool2d"):
        return _lp_pool(torch, case, draw)
    if case.method == "softmax_cross_entropy":
        return _loss(torch, case, draw)
    if case.method == "dropout_backward":
        x = draw(*sizes)
        _, mask = aten.native_dropout(x, RATE, True)
        return lambda: aten.native_dropout_backward(x, mask, 1 / (1 - RATE))
    if case.method in UPDATES:
        return UPDATES[case.method](torch, draw(*sizes), draw(*sizes))
    if case.method == "clip_by_global_norm":
        return _clip(torch, draw(*sizes))
    return None


def _unary(torch: Any, sizes: tuple[int, ...]) -> dict[str, Callable[[Any], Any]]:
    half = sizes[1] // 2 if len(sizes) > 1 else 0
    functional = torch.nn.functional
    return {
        "relu_forward": torch.relu,
        "leaky_relu_forward": lambda x: functional.leaky_relu(x, SLOPE),
        "sigmoid_forward": torch.sigmoid,
        "tanh_forward": torch.tanh,
        "softmax_forward": lambda x: torch.softmax(x, -1),
        "split": lambda x: [part.contiguous() for part in x.split((half, sizes[1] - half), 1)],
        "dropout_forward": lambda x: torch.ops.aten.native_dropout(x, RATE, True),
        "dropout2d_forward": lambda x: functional.dropout2d(x, RATE, True),
        "max_abs": lambda x: x.abs().max(),
        "all_finite": lambda x: torch.isfinite(x).all(),
    }


def _binary(torch: Any, sizes: tuple[int, ...]) -> dict[str, Callable[[Any, Any], Any]]:
    aten = torch.ops.aten

    def squared(y: Any, target: Any) -> Any:
        gap = y - target
        return gap.square().sum() / (2 * sizes[0]), gap / sizes[0]

    return {
        "relu_backward": lambda dy, x: aten.threshold_backward(dy, x, 0),
        "leaky_relu_backward": lambda dy, x: aten.leaky_relu_backward(dy, x, SLOPE, False),
        "sigmoid_backward": aten.sigmoid_backward,
        "tanh_backward": aten.tanh_backward,
        "softmax_backward": lambda dy, y: aten._softmax_backward_data(dy, y, -1, dy.dtype),
        "add": torch.add,
        "mean_squared_error": squared,
        "concat": lambda a, b: torch.cat([a, b], 1),
    }


def _bias(case: Case, draw: Draw) -> Call:
    dy = draw(*conv_shape(case.sizes).y_shape)
    return lambda: dy.sum((0, 2, 3))


def _lp_pool(torch: Any, case: Case, draw: Draw) -> Call:
    x, (window, stride, _) = draw(*case.sizes[:4]), case.sizes[4:]
    pool = torch.nn.functional.lp_pool2d
    if case.method.endswith("forward"):
        return lambda: pool(x, 2, window, stride)
    x.requires_grad_()
    y = pool(x, 2, window, stride)
    dy = y.detach()
    return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)[0]


def _loss(torch: Any, case: Case, draw: Draw) -> Call:
    n, _, out = case.sizes
    logits = draw(n, out).requires_grad_()
    labels = torch.arange(n, device=logits.device) % out

    def loss() -> Any:
        found = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        return found.detach(), torch.autograd.grad(found, logits)[0]

    return loss


def _optimizer(name: str, **options: Any) -> Callable[[Any, Any, Any], Call]:
    """One step of PyTorch's optimizer over one parameter."""

    def make(torch: Any, values: Any, grads: Any) -> Call:
        values.grad = grads
        step = getattr(torch.optim, name)([values], lr=0.01, **options).step

        def update() -> Any:
            step()
            return values

        return update

    return make


def _average(torch: Any, average: Any, values: Any) -> Call:
    return lambda: average.lerp_(values, 1 - 0.99)


def _clip(torch: Any, grads: Any) -> Call:
    values = torch.empty_like(grads)
    values.grad = grads
    limits = shrinking()
    return lambda: (torch.nn.utils.clip_grad_norm_([values], next(limits)), grads)


UPDATES: dict[str, Callable[[Any, Any, Any], Call]] = {
    "sgd_update": _optimizer("SGD", momentum=0.9, weight_decay=1e-4, fused=True),
    "adam_update": _optimizer("Adam", fused=True),
    "rmsprop_update": _optimizer("RMSprop", momentum=0.9, foreach=True),
    "ema_update": _average,
}
