"""The table of kernels against what the operations launch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.kernels import dense
from gpucnn.ops.kernels.conv_plan import candidates, plan
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime import registry
from gpucnn.runtime.dry import DryMemory
from gpucnn.runtime.launch import Dim, Kernel, Launcher

LISTED = {
    (build.file, symbol, frozenset(build.macros))
    for build in registry.builds()
    for symbol in build.symbols
}


class Watcher(Launcher):
    """Launches nothing; every launch must be one that the table lists."""

    name = "emulator"
    xp = np
    memory = DryMemory()

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def synchronize(self) -> None:
        """Nothing runs."""

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        found = (kernel.file, kernel.symbol, frozenset(kernel.macros))
        assert found in LISTED, f"{found} is not in the registry"
        most = registry.threads(kernel.symbol, kernel.macros)
        assert block[0] * block[1] * block[2] <= most, kernel.symbol
        self.seen.add((kernel.file, kernel.symbol))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_operations_launch_is_listed(dtype: str) -> None:
    launcher = Watcher()
    ops = KernelOps(launcher)

    def new(*shape: int) -> Any:
        return np.zeros(shape, dtype)

    for n, c, k, groups in ((1, 3, 4, 1), (1, 2, 20, 1), (1, 8, 8, 8), (1, 16, 33, 1),
                            (64, 16, 128, 1), (64, 16, 64, 1), (4, 16, 32, 1)):  # fmt: skip
        x, w = new(n, c, 16, 16), new(k, c // groups, 3, 3)
        y = ops.conv2d_forward(x, w, padding=1, groups=groups)
        ops.conv2d_backward_input(y, w, x.shape, padding=1, groups=groups)
        ops.conv2d_backward_weight(y, x, w.shape, padding=1, groups=groups)
        ops.conv2d_backward_bias(y)
    for size, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 3, 0), (8, 8, 0), (20, 20, 0)):
        x = new(2, 3, 40, 40)
        y, argmax = ops.max_pool2d_forward(x, kernel_size=size, stride=stride, padding=padding)
        ops.max_pool2d_backward(
            y, argmax, x.shape, kernel_size=size, stride=stride, padding=padding
        )
        y = ops.avg_pool2d_forward(x, kernel_size=size, stride=stride, padding=padding)
        ops.avg_pool2d_backward(y, x.shape, kernel_size=size, stride=stride, padding=padding)
        y = ops.lp_pool2d_forward(x, kernel_size=size, stride=stride)
        ops.lp_pool2d_backward(y, x, y, kernel_size=size, stride=stride)
    for train in (True, False):
        for shape in ((2, 3, 5, 5), (64, 2, 40, 40)):
            x, c = new(*shape), [new(shape[1]) for _ in range(4)]
            y, saved = ops.batch_norm2d_forward(x, *c, train=train)
            ops.batch_norm2d_backward(y, saved, c[0])
    for rows, columns, units in ((4, 10, 3), (512, 1152, 256), (2048, 2048, 2048)):
        x, w = new(rows, columns), new(units, columns)
        ops.linear_backward(ops.linear_forward(x, w, new(units)), x, w)
        ops.softmax_backward(*[ops.softmax_forward(x)] * 2)
        ops.softmax_cross_entropy(x, np.zeros(rows, "int32"))
        ops.mean_squared_error(x, x)
    a = new(3000)
    for kind in ("relu", "leaky_relu", "sigmoid", "tanh"):
        getattr(ops, f"{kind}_backward")(getattr(ops, f"{kind}_forward")(a), a)
    ops.split(ops.concat([ops.add(a, a), a], axis=0), [3000, 3000], axis=0)
    x, key = new(2, 3, 8, 8), {"rate": 0.5, "seed": 1, "layer": 0, "step": 0}
    ops.dropout_backward(*ops.dropout_forward(x, **key))
    ops.dropout2d_forward(x, **key)
    ops.drop_block2d_forward(x, **key, block_size=2)
    ops.sgd_update(a, a, a, lr=0.1, momentum=0.9)
    ops.adam_update(a, a, a, a, lr=0.1, step=1)
    ops.rmsprop_update(a, a, a, a, lr=0.1)
    ops.ema_update(a, a, decay=0.5)
    ops.clip_by_global_norm(a, max_norm=1)
    ops.max_abs(a)
    ops.all_finite(a)
    indices, draws = np.zeros(2, "int32"), np.zeros((2, 2), "int32")
    for pixels in ("uint8", "float32"):
        ops.gather_images(np.zeros((5, 3, 8, 8), pixels), indices)
    ops.gather_rows(new(5, 10), indices)
    ops.gather_rows(indices, indices)
    ops.shift_images(x, draws)
    ops.flip_images(x, np.zeros(2, "uint8"))
    ops.cut_out_images(x, draws, size=2)
    ops.rotate_images(x, np.zeros((2, 2)))
    ops.normalize_images(x, new(3), new(3))
    # And the table lists no file that nothing launches.
    assert {file for file, _ in launcher.seen} == set(registry.files())


def test_the_tiles_are_those_of_the_operations() -> None:
    for dtype, scalar in (("float32", "float"), ("float64", "double")):
        listed = {
            frozenset(macros): registry.threads("conv2d_forward", macros)
            for macros in registry.VARIANTS["conv2d_forward"][scalar]
        }
        shape = Conv2dShape.of((1, 8, 9, 9), (8, 8, 3, 3))
        plans = candidates(plan("conv2d_forward", shape, dtype), dtype)
        assert listed == {
            frozenset((name, str(value)) for name, value in found.macros): found.threads
            for found in plans
        }
        itemsize = np.dtype(dtype).itemsize
        products = {
            frozenset((name, str(value)) for name, value in plan.macros)
            for plan in (
                dense.GemmPlan.of(m, n, k, itemsize)
                for m in (1, 100, 1000, 9000)
                for n in (1, 100, 1000, 9000)
                for k in (1, 1000)
            )
        }
        assert products == set(map(frozenset, registry.VARIANTS["linear_forward"][scalar]))


def test_every_variant_names_a_kernel() -> None:
    symbols = {symbol for file in registry.files() for symbol in registry.symbols(file)}
    assert set(registry.VARIANTS) <= symbols
    assert symbols == {symbol for build in registry.builds() for symbol in build.symbols}
    # One name at every level: a symbol begins with the name of its file.
    for file in registry.files():
        assert all(symbol.startswith(file) for symbol in registry.symbols(file)), file
