"""Faults of what a kernel does for others: ReLU's gradient for max pooling, an update's average."""

from collections.abc import Callable

from gpucnn.ops.base import Ops
from tests.kernels.faults import Fault
from tests.kernels.faults.dropout_and_updates import average, small
from tests.kernels.faults.pooling import poisoned
from tests.ops import test_fused
from tests.ops.test_step_values import check_rates


def max_pool(ops: Ops) -> None:
    for shape, options in test_fused.POOLS:
        test_fused.check_max_pool(poisoned(ops), "float32", shape, options)


def averaging(method: str) -> Callable[[Ops], None]:
    return lambda ops: test_fused.check_average(poisoned(ops), method, "float32")


def in_memory(ops: Ops) -> None:
    check_rates(poisoned(ops), "ema_update", "float32")


OLD = ("the average of the old value", "take_in(average, i, moved", "take_in(average, i, value")
POOL, AVERAGE = "max_pool2d_backward", "average.cuh"
FAULTS = [
    Fault(POOL, "ReLU passes the gradient at 0", "relu_y && relu_y[window] <= scalar_t(0)",
          "relu_y && relu_y[window] < scalar_t(0)", max_pool),
    Fault(POOL, "ReLU stops the gradient at NaN", "relu_y && relu_y[window] <= scalar_t(0)",
          "relu_y && !(relu_y[window] > scalar_t(0))", max_pool),
    Fault(POOL, "the next window's ReLU", "relu_y[window] <=", "relu_y[window + 1] <=", max_pool,
          "memcheck"),
    Fault(POOL, "the gather leaves ReLU out", "sum += delta_of(dy, relu_y, window)",
          "sum += dy[window]", max_pool),
    *(Fault(f"{name}_update", *OLD, averaging(f"{name}_update"))
      for name in ("sgd", "adam", "rmsprop")),
    *(Fault(f"{name}_update", "an average where there is none", "if (average) take_in", "take_in",
            small(check_rates, f"{name}_update", "float32"), "memcheck")
      for name in ("sgd", "adam", "rmsprop")),
    Fault(AVERAGE, "decay for rest", "rest * value)", "decay * value)", average),
    Fault(AVERAGE, "one rate in memory for both", "Decay{decays[0], decays[1]}",
          "Decay{decays[0], decays[0]}", in_memory),
    Fault(AVERAGE, "rates in memory not read", "decays ? Decay{decays[0], decays[1]} :",
          "", averaging("sgd_update")),
]  # fmt: skip
