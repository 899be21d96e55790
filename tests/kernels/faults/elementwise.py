"""Faults in the activations, softmax, sums and joins."""

from collections.abc import Callable

import numpy as np

from gpucnn.ops.base import Ops
from tests.kernels import test_elementwise as kernels
from tests.kernels.devices import PoisonedOps
from tests.kernels.faults import Fault
from tests.kernels.shifted import shifted
from tests.ops import test_elementwise as general
from tests.ops import test_fused
from tests.ops.harness import normal

Check = Callable[[Ops], None]


def on(check: Callable[..., None], *args: object) -> Check:
    """`check` on results that begin as NaN."""
    return lambda ops: check(PoisonedOps(ops.launcher), *args)  # type: ignore[attr-defined]


def activation(name: str, dtype: str = "float32") -> Check:
    return on(lambda ops: general.check_activation(ops, name, 3 * normal(9, dtype)))


def fused_add(ops: Ops) -> None:
    test_fused.check_add(ops, 1031, "float32")


def unaligned_add(ops: Ops) -> None:
    a, b = shifted(normal(9, "float32")), normal(9, "float32", 1)
    np.testing.assert_array_equal(ops.add(a, b), a + b)


at_zero = on(general.test_relu_at_zero, "float32")
slopes = on(general.test_leaky_relu_slopes, "float32", 0.3)
add = on(kernels.check_add, 1025)
softmax, long_softmax = on(kernels.check_softmax, 9, 33), on(kernels.check_softmax, 2, 1100)
wide_grid = on(kernels.check_softmax, 20, 5)
huge = on(general.test_softmax_of_huge_values, "float32")
join, vector_join = on(kernels.check_join, (1, 3, 2), 1), on(kernels.check_join, (4, 0, 4), 4)

SWAPPED = ("dy, x);", "x, dy);"), ("dy, y);", "y, dy);")


def faults(
    kernel: str, *changes: tuple[str, str, str, Check] | tuple[str, str, str, Check, str]
) -> list[Fault]:
    return [Fault(kernel, *change) for change in changes]


FAULTS = [
    *faults(
        "elementwise.cuh",
        ("an element too many", "rest < uint32(count)", "rest <= uint32(count)", add, "memcheck"),
        ("first element of the rest left out", "kVector + thread;", "kVector + thread + 1;", add),
        (
            "a vector beyond the end",
            "count / kVector;",
            "(count + kVector - 1) / kVector;",
            on(kernels.check_add, 9),
            "memcheck",
        ),
        (
            "the grid's stride is a block's",
            "i < vectors; i += threads",
            "i < vectors; i += blockDim.x",
            on(kernels.check_add, 2050),
            "racecheck",
        ),
        (
            "alignment of the inputs not looked at",
            " && (aligned(in) && ...)",
            "",
            on(unaligned_add),
            "memcheck",
        ),
    ),
    *faults(
        "relu_forward",
        (
            "NaN becomes 0",
            "v <= scalar_t(0) ? scalar_t(0) : v",
            "v > scalar_t(0) ? v : scalar_t(0)",
            at_zero,
        ),
        ("-0 passes", "v <= scalar_t(0)", "v < scalar_t(0)", at_zero),
        ("the absolute value", "? scalar_t(0) : v", "? -v : v", at_zero),
    ),
    *faults(
        "relu_backward",
        ("gradient 1 at 0", "v <= scalar_t(0)", "v < scalar_t(0)", at_zero),
        (
            "NaN takes no gradient",
            "v <= scalar_t(0) ? scalar_t(0) : d",
            "v > scalar_t(0) ? d : scalar_t(0)",
            at_zero,
        ),
        (
            "multiplied, not chosen",
            "scalar_t(0) : d;",
            "scalar_t(0) * d : d;",
            on(general.test_relu_does_not_spread_infinite_gradients, "float32"),
        ),
        ("arguments swapped", *SWAPPED[0], at_zero),
    ),
    *faults(
        "leaky_relu_forward",
        ("slope on the wrong side", "negative_slope * v : v", "v : negative_slope * v", slopes),
        ("divided by the slope", "negative_slope * v", "v / negative_slope", slopes),
        ("the slope alone", "negative_slope * v :", "negative_slope :", slopes),
    ),
    *faults(
        "leaky_relu_backward",
        ("gradient 1 at 0", "v <= scalar_t(0)", "v < scalar_t(0)", slopes),
        ("the sign of dy", "v <= scalar_t(0)", "d <= scalar_t(0)", slopes),
        ("arguments swapped", *SWAPPED[0], slopes),
    ),
    *faults(
        "sigmoid_forward",
        ("no absolute value", "exp(-fabs(v))", "exp(-v)", activation("sigmoid")),
        (
            "one branch for all",
            "(v < scalar_t(0) ? power : scalar_t(1))",
            "power",
            activation("sigmoid"),
        ),
        (
            "single precision",
            "exp(-fabs(v))",
            "expf(float(-fabs(v)))",
            activation("sigmoid", "float64"),
        ),
    ),
    *faults(
        "sigmoid_backward",
        ("1 + y", "scalar_t(1) - v", "scalar_t(1) + v", activation("sigmoid")),
        ("y left out", "d * (v * ", "d * (", activation("sigmoid")),
        ("arguments swapped", *SWAPPED[1], activation("sigmoid")),
    ),
    *faults(
        "tanh_forward",
        (
            "by exponentials that overflow",
            "return tanh(v)",
            "return (exp(v + v) - scalar_t(1)) / (exp(v + v) + scalar_t(1))",
            on(general.test_activation_at_its_limits, "float32", "tanh"),
        ),
        ("single precision", "tanh(v)", "tanhf(float(v))", activation("tanh", "float64")),
        ("another sigmoid", "tanh(v)", "v / (scalar_t(1) + fabs(v))", activation("tanh")),
    ),
    *faults(
        "tanh_backward",
        ("y for y squared", "- v * v", "- v", activation("tanh")),
        ("1 + y squared", "- v * v", "+ v * v", activation("tanh")),
        ("arguments swapped", *SWAPPED[1], activation("tanh")),
    ),
    *faults(
        "add",
        ("a difference", "u + v", "u - v", add),
        ("one array twice", "a, b);", "a, a);", add),
        ("the size of b", "u + v", "u + fabs(v)", add),
        ("ReLU that stops NaN", "relu && sum <= scalar_t(0)", "relu && !(sum > 0)", fused_add),
    ),
    *faults(
        "rows.cuh",
        ("a total not begun at 0", "top = row[0], total = 0;", "top = row[0], total;", softmax),
        ("half a warp", "offset = 16", "offset = 8", softmax),
        ("half of the warps", "warp < blockDim.x / 32", "warp < blockDim.x / 64", long_softmax),
        (
            "no barrier before scratch is written again",
            "__syncthreads();  // what scratch held before has been read",
            "",
            on(kernels.check_softmax, 1, 1100),
            "racecheck",
        ),
        (
            "no barrier before scratch is read",
            "= value;\n    __syncthreads();",
            "= value;",
            long_softmax,
            "racecheck",
        ),
        (
            "the last column for the largest",
            "top = larger(top, row[j])",
            "top = row[j]",
            on(kernels.check_largest_column, 70),
        ),
    ),
    *faults(
        "softmax_forward",
        ("a column too many", "j < uint32(columns)", "j <= uint32(columns)", softmax, "racecheck"),
        ("maximum not subtracted", "x[j] - powers.top", "x[j]", huge),
        ("not divided", " / powers.total", "", softmax),
        ("rows of blocks overlap", "blockIdx.x * blockDim.y", "blockIdx.x", wide_grid, "racecheck"),
        ("a row too many", "row >= rows", "row > rows", wide_grid, "memcheck"),
    ),
    *faults(
        "softmax_backward",
        ("a sum not begun at 0", "scalar_t product = 0;", "scalar_t product;", softmax),
        ("a row too many", "row >= rows", "row > rows", wide_grid, "memcheck"),
        ("y left out of the sum", "dy[j] * y[j];", "dy[j];", softmax),
        ("the diagonal alone", "(dy[j] - product)", "dy[j]", softmax),
        ("rows of blocks overlap", "blockIdx.x * blockDim.y", "blockIdx.x", wide_grid, "racecheck"),
        ("sums of single lanes", "product = team_sum(product, scratch);", "", softmax),
    ),
    *faults(
        "copy.cuh",
        ("the source by the target's rows", "row * from_pitch", "row * to_pitch", join, "memcheck"),
        ("the last vector left out", "i < count", "i + 1 < count", vector_join),
        (
            "a pitch not looked at",
            " && to_pitch % kVector == 0",
            "",
            on(kernels.check_join, (4, 3), 1),
            "memcheck",
        ),
        (
            "row and column swapped",
            "row = i / packs, column = i % packs * N",
            "row = i % packs, column = i / packs * N",
            join,
        ),
        (
            "alignment of the target not looked at",
            "aligned(from) && aligned(to)",
            "aligned(from)",
            on(kernels.check_join, (2, 4, 2), 1),
            "memcheck",
        ),
        ("one row", "count = rows * packs", "count = packs", vector_join),
    ),
    *faults(
        "concat",
        ("every part at the front", "y + first", "y", join),
        ("rows of the part's width", "y + first, pitch", "y + first, width", join),
        ("x as wide as y", "copy_rows(x, width", "copy_rows(x, pitch", join, "memcheck"),
    ),
    *faults(
        "split",
        ("every piece from the front", "x + first", "x", join),
        ("rows of the piece's width", "x + first, pitch", "x + first, width", join),
        ("y as wide as x", "y, width, rows", "y, pitch, rows", join, "memcheck"),
    ),
]
