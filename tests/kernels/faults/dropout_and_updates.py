"""Faults in dropout, the updates and the reductions over arenas."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import base
from tests.kernels import test_dropout_and_updates as kernels
from tests.kernels.faults import Fault
from tests.ops import test_dropout as dropout
from tests.ops import test_updates as updates

Check = Callable[[Ops], None]
KEY: Any = dropout.KEYS[3]


def small(check: Callable[..., None], *args: Any, **options: Any) -> Check:
    """The check with grids so small that the threads take several turns."""

    def run(ops: Ops) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "GRID_STRIDE_BLOCKS", 1)
            check(ops, *args, **options)

    return run


elements = small(dropout.check_dropout, (1031,), "float32", 0.3, KEY)
wide = small(dropout.check_dropout, (1031,), "float64", 0.3, KEY)
channels = small(kernels.check_channels, 1031, (1, 3), "float32")
squares = small(dropout.test_drop_block2d, "float32", 0.3, 3, KEY)
backward = small(dropout.test_backward, "float32")
sgd = small(
    updates.test_sgd, "float32", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}, "some"
)
adam = small(updates.test_adam, "float32", 2, {"weight_decay": 0.1}, "some")
large_eps = small(updates.test_adam, "float32", 2, {"eps": 1e-3}, None)
adamw = small(updates.test_adam, "float32", 2, {"weight_decay": 0.1, "decoupled": True}, "some")
rmsprop = small(
    updates.test_rmsprop, "float32", {"momentum": 0.5, "weight_decay": 0.2, "alpha": 0.5}, "some"
)
average = small(updates.test_ema, "float32", 0.9)
average_of_many = small(kernels.test_an_update_agrees_with_the_cpu, "ema_update", "float32")
reductions = small(kernels.check_reductions, "float32")
clipping = small(kernels.check_clipping, 5003, "float64")
inside = small(updates.test_clip_by_global_norm, "float32", 1e30)
tiny = small(kernels.check_small_numbers_count)
huge = small(updates.test_clipping_huge_gradients, "float64")


def faults(kernel: str, *changes: tuple[str, str, str, Check]) -> list[Fault]:
    return [Fault(kernel, *change) for change in changes]


FAULTS: list[Fault] = [
    *faults(
        "philox.cuh",
        ("nine rounds", "round < 10", "round < 9", elements),
        ("the seed's high half dropped", "k1 = uint32(seed >> 32)", "k1 = 0", elements),
        ("layer and step swapped", "c2 = layer, c3 = step", "c2 = step, c3 = layer", elements),
    ),
    *faults(
        "dropout_forward",
        ("the rate left out", "draws.v[i] < threshold", "draws.v[i] < 0x80000000u", elements),
        ("the last group left out", "(uint32(count) + 3) / 4", "uint32(count) / 4", elements),
        ("the end not checked", "if (at >= uint32(count)) break;", "", elements),
        ("one word for two vectors", "m.v[i] = kept[part + i]", "m.v[i] = kept[i]", wide),
    ),
    *faults(
        "dropout2d_forward",
        ("kept and dropped swapped", "? scalar_t(0) : scale", "? scale : scalar_t(0)", channels),
        ("the end not checked", "if (4 * g + i < uint32(count)) ", "", channels),
        ("no further turn", "g < groups; g += threads", "g < groups; g += groups", channels),
    ),
    *faults(
        "drop_block2d_forward",
        ("a row of the block missing", "row = 0; row < block_size", "row = 1; row < block_size",
         squares),
        ("a column too many", "column < block_size", "column <= block_size", squares),
        ("planes of cells for planes of corners", "((block_size - 1) * pitch)", "0", squares),
        ("kept and dropped swapped", "draws.v[i] >= threshold", "draws.v[i] < threshold", squares),
    ),
    *faults(
        "dropout_backward",
        ("the mask's channel off by one", "mask[i / uint32(plane)]",
         "mask[(i + 1) / uint32(plane)]", backward),
        ("the mask added", "return d * m;", "return d + m;", backward),
        ("a mask of channels read as one of elements", "plane == 1", "plane >= 1", backward),
    ),
    *faults(
        "sgd_update",
        ("velocity not kept", "velocity[i] = speed;", "", sgd),
        ("momentum without nesterov", "nesterov ? step + momentum * speed : speed", "speed", sgd),
        ("weight decay of the gradient", "grads[i] + weight_decay * value : grads[i]",
         "grads[i] + weight_decay * grads[i] : grads[i]", sgd),
        ("the rate's scale left out", "lr_scale ? lr * lr_scale[i] : lr", "lr", sgd),
    ),
    *faults(
        "adam_update",
        ("eps inside of the root", "sqrt(s / correction2) + eps", "sqrt(s / correction2 + eps)",
         large_eps),
        ("no correction of the second moment", "s / correction2", "s", adam),
        ("coupled for decoupled", "if (decoupled)", "if (!decoupled)", adamw),
        ("the square of the wrong number", "rest2 * grad * grad", "rest2 * grad * m", adam),
    ),
    *faults(
        "rmsprop_update",
        ("the second moment not kept", "second[i] = s;", "", rmsprop),
        ("no root", "sqrt(s) + eps", "s + eps", rmsprop),
        ("velocity without momentum", "step += momentum * velocity[i]", "step += velocity[i]",
         rmsprop),
    ),
    *faults(
        "ema_update",
        ("decay for rest", "rest * values[i];", "decay * values[i];", average),
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", average),
        ("no further turn", "i += threads", "i += count", average_of_many),
    ),
    *faults(
        "max_abs",
        ("NaN loses", "b > a || b != b ? b : a", "b > a ? b : a", reductions),
        ("the sign kept", "fabs(a[i])", "a[i]", reductions),
        ("a missing barrier", "__syncthreads();", "", reductions),
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", reductions),
    ),
    *faults(
        "all_finite",
        ("Inf passes", "a[i] - a[i] == scalar_t(0)", "a[i] == a[i]", reductions),
        ("the first thread's word alone", "finite = __syncthreads_and(finite);", "", reductions),
        ("a block left out", "i < blocks", "i < blocks - 1", reductions),
    ),
    *faults(
        "clip_by_global_norm",
        ("a block's sum left out", "i < blocks", "i < blocks - 1", clipping),
        ("gradients inside grow", "root * unit > max_norm ?", "true ?", inside),
        ("a missing barrier", "    __syncthreads();\n    if (factor == 1)", "    if (factor == 1)",
         clipping),
        ("small squares forgotten", "root = sqrt(small), unit = kDown", "root = 0, unit = 1", tiny),
        ("large squares overflow", "kWide && fabs(g) > 0x1p490", "false", huge),
    ),
]  # fmt: skip
