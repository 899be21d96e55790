"""Faults of what a kernel does for its neighbours: ReLU's gradient in max pooling's."""

from gpucnn.ops.base import Ops
from tests.kernels.faults import Fault
from tests.kernels.faults.pooling import poisoned
from tests.ops import test_fused


def max_pool(ops: Ops) -> None:
    for shape, options in test_fused.POOLS:
        test_fused.check_max_pool(poisoned(ops), "float32", shape, options)


POOL = "max_pool2d_backward"
FAULTS = [
    Fault(POOL, "ReLU passes the gradient at 0", "relu_y && relu_y[window] <= scalar_t(0)",
          "relu_y && relu_y[window] < scalar_t(0)", max_pool),
    Fault(POOL, "ReLU stops the gradient at NaN", "relu_y && relu_y[window] <= scalar_t(0)",
          "relu_y && !(relu_y[window] > scalar_t(0))", max_pool),
    Fault(POOL, "the next window's ReLU", "relu_y[window] <=", "relu_y[window + 1] <=", max_pool,
          "memcheck"),
    Fault(POOL, "the gather leaves ReLU out", "sum += delta_of(dy, relu_y, window)",
          "sum += dy[window]", max_pool),
]  # fmt: skip
