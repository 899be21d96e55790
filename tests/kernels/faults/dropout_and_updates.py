"""Faults in dropout, the updates and the reductions over arenas."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import base
from tests.kernels import test_dropout_and_updates as kernels
from tests.kernels.faults import Fault
from tests.kernels.faults.elementwise import faults
from tests.ops import test_dropout as dropout
from tests.ops import test_step_values as step_values
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
also = small(step_values.check_also, "float32")
before = small(step_values.check_before, "float32")


def counter(method: str, **options: Any) -> Check:
    return small(step_values.check_counter, method, options)


def rates(method: str) -> Check:
    return small(step_values.check_rates, method, "float32")


def held_back(method: str) -> Check:
    return small(step_values.check_only_if, method, "float32")


def many_squares(ops: Ops) -> None:
    """More cells than a block has threads."""
    kernels.test_blocks_of_cells_over_several_blocks_of_threads(ops, "float32")


FAULTS: list[Fault] = [
    *faults(
        "philox.cuh",
        ("a key that stays", "k1 += 0xBB67AE85u;", "", elements),
        ("nine rounds", "round < 10", "round < 9", elements),
        ("the seed's high half dropped", "k1 = uint32(seed >> 32)", "k1 = 0", elements),
        ("layer and step swapped", "c2 = layer, c3 = step", "c2 = step, c3 = layer", elements),
    ),
    *faults(
        "dropout_forward",
        ("a vector beyond the end", "4 * g + 3 < uint32",
         "4 * g + 3 <= uint32", elements, "memcheck"),
        ("another group's draws", "philox(g,", "philox(g + 1,", elements),
        ("the rate left out", "draws.v[i] < threshold", "draws.v[i] < 0x80000000u", elements),
        ("the last group left out", "(uint32(count) + 3) / 4", "uint32(count) / 4", elements),
        ("the end not checked", "if (at >= uint32(count)) break;", "", elements, "memcheck"),
        ("one word for two vectors", "m.v[i] = kept[part + i]", "m.v[i] = kept[i]", wide),
        ("the counter in memory not read", "step_at ? *step_at : step", "step",
         counter("dropout_forward")),
    ),
    *faults(
        "dropout2d_forward",
        ("a draw for each element", "philox(g, seed", "philox(4 * g, seed", channels),
        ("kept and dropped swapped", "? scalar_t(0) : scale", "? scale : scalar_t(0)", channels),
        ("the end not checked", "if (4 * g + i < uint32(count)) ", "", channels, "memcheck"),
        ("no further turn", "g < groups; g += threads",
         "g < groups; g += groups", channels, "initcheck"),
        ("the counter in memory not read", "step_at ? *step_at : step", "step",
         counter("dropout2d_forward")),
    ),
    *faults(
        "drop_block2d_forward",
        ("a row of cells as long as one of corners", "i / width * (block_size - 1)", "0", squares),
        ("cells of every block", "i += threads) {\n        const uint8* cell",
         "i += blockDim.x) {\n        const uint8* cell", many_squares, "racecheck"),
        ("the end not checked", "if (4 * g + i < uint32(count)) ", "", squares, "memcheck"),
        ("a row of the block missing", "row = 0; row < block_size", "row = 1; row < block_size",
         squares),
        ("a column too many", "column < block_size", "column <= block_size", squares, "memcheck"),
        ("planes of cells for planes of corners", "((block_size - 1) * pitch)", "0", squares),
        ("kept and dropped swapped", "draws.v[i] >= threshold", "draws.v[i] < threshold", squares),
        ("the counter in memory not read", "step_at ? *step_at : step", "step",
         counter("drop_block2d_forward", block_size=2)),
    ),
    *faults(
        "dropout_backward",
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", backward),
        ("the mask's channel off by one", "mask[i / uint32(plane)]",
         "mask[(i + 1) / uint32(plane)]", backward, "memcheck"),
        ("the mask added", "return d * m;", "return d + m;", backward),
        ("a mask of channels read as one of elements", "plane == 1",
         "plane >= 1", backward, "memcheck"),
    ),
    *faults(
        "sgd_update",
        ("the square of the momentum", "step + momentum * speed",
         "step + momentum * momentum * speed", sgd),
        ("an element too many", "i < uint32(count)", "i <= uint32(count)", sgd, "memcheck"),
        ("velocity not kept", "velocity[i] = speed;", "", sgd),
        ("momentum without nesterov", "nesterov ? step + momentum * speed : speed", "speed", sgd),
        ("weight decay of the gradient", "grads[i] + weight_decay * value : grads[i]",
         "grads[i] + weight_decay * grads[i] : grads[i]", sgd),
        ("the rate's scale left out", "lr_scale ? lr * lr_scale[i] : lr", "lr", sgd),
        ("the rate in memory not read", "if (rates) lr = rates[0];", "", rates("sgd_update")),
        ("done where it is not to be", "if (only_if && !*only_if) return;", "",
         held_back("sgd_update")),
        ("left out where it is to be done", "only_if && !*only_if", "only_if",
         held_back("sgd_update")),
    ),
    *faults(
        "adam_update",
        ("the first moment not kept", "first[i] = m;", "", adam),
        ("the scale left out", "corrected_lr * scale *", "corrected_lr *", adam),
        ("an element too many", "i < uint32(count)", "i <= uint32(count)", adam, "memcheck"),
        ("eps inside of the root", "sqrt(s / correction2) + eps", "sqrt(s / correction2 + eps)",
         large_eps),
        ("no correction of the second moment", "s / correction2", "s", adam),
        ("coupled for decoupled", "if (decoupled)", "if (!decoupled)", adamw),
        ("the square of the wrong number", "rest2 * grad * grad", "rest2 * grad * m", adam),
        ("the rates in memory swapped", "lr = rates[0]", "lr = rates[1]", rates("adam_update")),
        ("a rate in memory not read", "corrected_lr = rates[1];", "", rates("adam_update")),
        ("a correction in memory not read", "correction2 = rates[2];", "", rates("adam_update")),
        ("done where it is not to be", "if (only_if && !*only_if) return;", "",
         held_back("adam_update")),
        ("left out where it is to be done", "only_if && !*only_if", "only_if",
         held_back("adam_update")),
    ),
    *faults(
        "rmsprop_update",
        ("velocity not kept", "velocity[i] = step;", "", rmsprop),
        ("the rate's scale left out", "lr_scale ? lr * lr_scale[i] : lr", "lr", rmsprop),
        ("an element too many", "i < uint32(count)", "i <= uint32(count)", rmsprop, "memcheck"),
        ("the second moment not kept", "second[i] = s;", "", rmsprop),
        ("no root", "sqrt(s) + eps", "s + eps", rmsprop),
        ("velocity without momentum", "step += momentum * velocity[i]", "step += velocity[i]",
         rmsprop),
        ("the rate in memory not read", "if (rates) lr = rates[0];", "", rates("rmsprop_update")),
        ("done where it is not to be", "if (only_if && !*only_if) return;", "",
         held_back("rmsprop_update")),
        ("left out where it is to be done", "only_if && !*only_if", "only_if",
         held_back("rmsprop_update")),
    ),
    *faults(
        "ema_update",
        ("an element too many", "i < uint32(count)", "i <= uint32(count)", average, "memcheck"),
        ("the average of itself", "take_in(average, i, values[i]", "take_in(average, i, average[i]",
         average),
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", average),
        ("no further turn", "i += threads", "i += count", average_of_many),
        ("done where it is not to be", "if (only_if && !*only_if) return;", "",
         held_back("ema_update")),
        ("left out where it is to be done", "only_if && !*only_if", "only_if",
         held_back("ema_update")),
    ),
    *faults(
        "max_abs",
        ("all blocks in one place", "out[blockIdx.x]", "out[0]", reductions, "racecheck"),
        ("an element too many", "i < uint32(count)", "i <= uint32(count)", reductions, "memcheck"),
        ("NaN loses", "b > a || b != b ? b : a", "b > a ? b : a", reductions),
        ("the sign kept", "fabs(a[i])", "a[i]", reductions),
        ("a missing barrier", "__syncthreads();", "", reductions, "racecheck"),
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", reductions),
    ),
    *faults(
        "all_finite",
        ("all blocks in one place", "partial[blockIdx.x]", "partial[0]", reductions, "racecheck"),
        ("the last element left out", "i < uint32(count)", "i < uint32(count) - 1", reductions),
        ("Inf passes", "a[i] - a[i] == scalar_t(0)", "a[i] == a[i]", reductions),
        ("the first thread's word alone", "finite = __syncthreads_and(finite);", "", reductions),
        ("a block left out", "i < blocks", "i < blocks - 1", reductions),
        ("the number more not read", "!also || *also - *also == scalar_t(0)", "true", also),
        ("Inf passes as the number more", "*also - *also == scalar_t(0)", "*also == *also", also),
        ("no number more needed", "!also || *also", "*also", reductions, "memcheck"),
        ("the earlier answer not read", "!before || *before", "true", before),
        ("an earlier answer needed", "!before || *before", "*before", reductions, "memcheck"),
    ),
    *faults(
        "clip_by_global_norm",
        ("every block writes the norm", "if (blockIdx.x == 0) *norm",
         "*norm", clipping, "racecheck"),
        ("every block scales all", "i += threads) grads",
         "i += blockDim.x) grads", clipping, "racecheck"),
        ("sums in one another's place", "sums[gridDim.x + blockIdx.x]",
         "sums[1 + blockIdx.x]", clipping, "racecheck"),
        ("sums not begun at 0", "double big = 0, middle = 0, small = 0;\n    for (int i",
         "double big, middle, small;\n    for (int i", clipping),
        ("a block's sum left out", "i < blocks", "i < blocks - 1", clipping),
        ("gradients inside grow", "root * unit > max_norm ?", "true ?", inside),
        ("a missing barrier", "    __syncthreads();\n    if (factor == 1)", "    if (factor == 1)",
         clipping, "racecheck"),
        ("small squares forgotten", "root = sqrt(small), unit = kDown", "root = 0, unit = 1", tiny),
        ("large squares overflow", "kWide && fabs(g) > 0x1p490", "false", huge),
    ),
]  # fmt: skip
