"""The dropout and update kernels where they loop: several blocks, several turns, odd ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.kernels import base, reductions
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.devices import poisoned
from tests.ops import test_dropout as dropout
from tests.ops.harness import call, normal
from tests.oracles.philox import kept
from tests.oracles.tolerance import assert_close

KEY: Any = dropout.KEYS[1]
DTYPES = ["float32", "float64"]


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Ops:
    """Grids so small that every thread takes several turns, and results that begin as NaN."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    return poisoned()


def check_channels(ops: Ops, planes: int, plane: tuple[int, int], dtype: str) -> None:
    """Whole channels, y and mask exactly."""
    x = normal((1, planes, *plane), dtype)
    y, mask = call(ops, "dropout2d_forward", x, rate=0.4, **KEY)
    keep = kept(planes, 0.4, **KEY).reshape(1, planes, 1, 1)
    np.testing.assert_array_equal(mask, dropout.scaled(keep, 0.4, dtype))
    np.testing.assert_array_equal(y, x * mask)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 2047, 2048, 2051, 4099])
def test_dropout_ends_anywhere_in_a_group(ops: Ops, dtype: str, size: int) -> None:
    dropout.check_dropout(ops, (size,), dtype, 0.3, KEY)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_of_a_slice_that_begins_off_a_vector(ops: Ops, dtype: str) -> None:
    whole = normal((101,), dtype)
    y, mask = ops.dropout_forward(ops.asarray(whole)[1:], rate=0.3, **KEY)
    np.testing.assert_array_equal(ops.to_numpy(y), whole[1:] * ops.to_numpy(mask))
    np.testing.assert_array_equal(ops.to_numpy(mask) != 0, kept(100, 0.3, **KEY))


@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_over_several_blocks(ops: Ops, dtype: str) -> None:
    check_channels(ops, 2111, (1, 3), dtype)
    check_channels(ops, 7, (31, 9), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_of_cells_over_several_blocks_of_threads(ops: Ops, dtype: str) -> None:
    x = normal((2, 5, 13, 11), dtype)
    ours = call(ops, "drop_block2d_forward", x, rate=0.3, block_size=4, **KEY)
    theirs = call(gpucnn.get_ops("cpu"), "drop_block2d_forward", x, rate=0.3, block_size=4, **KEY)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


UPDATES: dict[str, tuple[int, dict[str, Any]]] = {
    "sgd_update": (3, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam_update": (4, {"lr": 0.01, "step": 3, "weight_decay": 0.01, "decoupled": True}),
    "rmsprop_update": (4, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01}),
    "ema_update": (2, {"decay": 0.9}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", UPDATES)
def test_an_update_agrees_with_the_cpu(ops: Ops, method: str, dtype: str) -> None:
    """Each rounds at most 16 numbers of about 1; the GPU fuses some products and sums."""
    count, options = UPDATES[method]
    arenas = [[abs(normal((1283,), dtype, i)) for i in range(count)] for _ in range(2)]
    written = tuple(i for i in range(count) if i != 1)
    for device, arena in zip((ops, gpucnn.get_ops("cpu")), arenas, strict=True):
        call(device, method, *arena, writes=written, **options)
    for ours, theirs in zip(*arenas, strict=True):
        # A step of about lr·g/sqrt(second) is small beside the largest value.
        assert_close(ours, theirs, terms=32, magnitude=1 + abs(theirs))


def check_clipping(ops: Ops, size: int, dtype: str) -> None:
    grads = normal((size,), dtype)
    true = float(np.sqrt((grads.astype(np.float64) ** 2).sum()))
    clipped = grads.copy()
    norm = call(ops, "clip_by_global_norm", clipped, max_norm=true / 2, writes=(0,))
    assert_close(norm, true, terms=4 if dtype == "float32" else size)
    assert_close(clipped, grads.astype(np.float64) / 2, terms=8 if dtype == "float32" else size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2049, 5003])
def test_clipping_over_several_blocks(ops: Ops, size: int, dtype: str) -> None:
    check_clipping(ops, size, dtype)


def check_small_numbers_count(ops: Ops) -> None:
    """Float64 numbers whose squares vanish, beside others or alone."""
    for scale in (1e-200, 1e-300):
        grads = np.asarray([3 * scale, 4 * scale])
        norm = call(ops, "clip_by_global_norm", grads, max_norm=1, writes=(0,))
        assert_close(norm, 5 * scale, terms=8)


def test_squares_that_vanish(ops: Ops) -> None:
    check_small_numbers_count(ops)


def check_reductions(ops: Ops, dtype: str, size: int = 5003) -> None:
    """The largest, a NaN and an Inf wherever they stand."""
    for place in (0, 31, 2047, 2048, size - 1):
        for value, finite in ((-9.5, True), (np.inf, False), (np.nan, False)):
            a = normal((size,), dtype).clip(-9, 9)
            a[place] = value
            np.testing.assert_array_equal(call(ops, "max_abs", a), abs(value))
            assert bool(call(ops, "all_finite", a)) is finite, (place, value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_over_several_blocks(ops: Ops, dtype: str) -> None:
    check_reductions(ops, dtype)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "check",
    [
        *(lambda ops, dtype, n=n: dropout.check_dropout(ops, (n,), dtype, 0.3, KEY)
          for n in (0, 1, 1031)),
        lambda ops, dtype: check_channels(ops, 1031, (1, 3), dtype),
        lambda ops, dtype: dropout.test_drop_block2d(ops, dtype, 0.3, 3, KEY),
        test_blocks_of_cells_over_several_blocks_of_threads,
        dropout.test_backward,
        *(lambda ops, dtype, m=method: test_an_update_agrees_with_the_cpu(ops, m, dtype)
          for method in UPDATES),
        lambda ops, dtype: check_clipping(ops, 5003, dtype),
        lambda ops, dtype: check_clipping(ops, 1, dtype),
        lambda ops, dtype: check_reductions(ops, dtype),
    ],
)  # fmt: skip
def test_every_access_is_sound(
    check: Callable[[Ops, str], None], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access out of bounds or uninitialised, and no race, of two blocks that take turns."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    check(poisoned(checked=True), dtype)


def test_the_split_depends_on_the_count_alone() -> None:
    counts = (0, 1, 2048, 2049, 2**31 - 1)
    assert [reductions._splits(count) for count in counts] == [0, 1, 1, 2, 1024]


def test_the_same_bits_in_any_order_of_blocks() -> None:
    grads = normal((20_011,), "float32")
    results = []
    for order in (None, 1, 2):
        ops = KernelOps(EmulatorLauncher(block_order=order))
        clipped = grads.copy()
        norm = call(ops, "clip_by_global_norm", clipped, max_norm=1, writes=(0,))
        mask = call(ops, "dropout_forward", grads, rate=0.5, **KEY)[1]
        results.append(norm.tobytes() + clipped.tobytes() + mask.tobytes())
    assert len(set(results)) == 1
