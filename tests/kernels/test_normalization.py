"""What is special to batch norm's kernels: chunks and their merge, vectors, blocks in any order."""

from collections.abc import Callable

import numpy as np
import pytest

from gpucnn.ops.kernels import base, normalization
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.devices import PoisonedOps, poisoned
from tests.kernels.shifted import ShiftedOps, assert_same_bits, shifted
from tests.ops import test_fused
from tests.ops.harness import normal
from tests.ops.test_normalization import check_batch_norm

# Runs of one pixel, of less than a vector, of whole vectors, of a block and a bit; a channel of one
# value less than a chunk, of a chunk, of one more, and of several.
SHAPES = [
    (300, 2, 1, 1),
    (90, 3, 1, 3),
    (40, 2, 2, 4),
    (3, 2, 16, 16),
    (5, 2, 19, 17),
    (4095, 1, 1, 1),
    (2, 1, 32, 64),
    (17, 1, 1, 241),
    (3, 2, 40, 40),
]


def check_shapes(ops: PoisonedOps, dtype: str = "float32") -> None:
    """Both passes, in training and in evaluation."""
    for shape in SHAPES:
        check_batch_norm(ops, shape, dtype, train=True)
    for shape in SHAPES[:3]:
        check_batch_norm(ops, shape, dtype, train=False)


def check_merge(ops: PoisonedOps, dtype: str = "float64") -> None:
    """Chunks with means of their own, far from 0: the merge must weigh and add the distances."""
    x = normal((3, 2, 50, 50), dtype)
    x[1:] += 3
    x += 100
    mean, var = np.zeros(2, dtype), np.zeros(2, dtype)
    one, zero = np.ones(2, dtype), np.zeros(2, dtype)
    ops.batch_norm2d_forward(x, one, zero, mean, var, train=True, momentum=1)
    wide = x.astype(np.float64)
    values = x.size // 2
    # Two passes of trees: fewer than 64 roundings of 100 and, of the variance, of its own size. The
    # mean's own error enters the variance squared and is nothing beside these.
    unit = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 2, 3)), rtol=unit)
    deviation = wide - wide.mean(axis=(0, 2, 3), keepdims=True)
    expected = (deviation**2).sum(axis=(0, 2, 3)) / (values - 1)
    # The values themselves are exact; their distances to a rounded mean err by 100 * eps.
    np.testing.assert_allclose(var, expected, rtol=2 * unit + 200 * np.finfo(dtype).eps)


def check_fused(ops: PoisonedOps, dtype: str = "float64") -> None:
    """Residual and ReLU: chunks of several runs, runs that are no whole vectors."""
    for shape in ((3, 2, 5, 3), (5, 2, 2, 4), (3, 2, 40, 40)):
        for residual, relu in ((False, True), (True, False), (True, True)):
            for train in (True, False):
                test_fused.check_batch_norm(
                    ops, shape, dtype, train=train, residual=residual, relu=relu
                )


def test_runs_and_chunks(dtype: str) -> None:
    check_shapes(poisoned(), dtype)


def test_merged_statistics(dtype: str) -> None:
    check_merge(poisoned(), dtype)


@pytest.mark.parametrize("values", [1, 3])
def test_other_chunks(dtype: str, values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one value a thread, more chunks than a warp has lanes to merge them."""
    chunk = base.THREADS * values
    monkeypatch.setattr(normalization, "CHUNK", chunk)
    monkeypatch.setattr(normalization, "MACROS", (("THREADS", base.THREADS), ("VALUES", values)))
    check_batch_norm(poisoned(), (34, 1, 16, 17), dtype, train=True)
    check_merge(poisoned(), dtype)


@pytest.mark.parametrize("blocks", [1, 2])
def test_more_than_one_grid(dtype: str, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", blocks)
    for train in (True, False):
        check_batch_norm(poisoned(), (3, 5, 15, 16), dtype, train=train)


def test_more_channels_than_threads(dtype: str) -> None:
    for train in (True, False):
        check_batch_norm(poisoned(), (2, base.THREADS + 3, 1, 2), dtype, train=train)


def passes(ops: PoisonedOps, dtype: str) -> list[np.ndarray]:
    """Every result of both passes over two chunks."""
    shape = (3, 2, 40, 40)
    x, dy = normal(shape, dtype), normal(shape, dtype, 1)
    gamma, beta, mean, var = (normal(2, dtype, seed) for seed in range(2, 6))
    if isinstance(ops, ShiftedOps):
        x, dy = shifted(x), shifted(dy)
    results = [mean, var]
    for train in (True, False):
        for options in ({}, {"activation": "relu"}, {"activation": "relu", "residual": dy}):
            y, saved = ops.batch_norm2d_forward(
                x, gamma, beta, mean, abs(var), train=train, **options
            )
            results += [y, *ops.batch_norm2d_backward(dy, saved, gamma)]
    return results


@pytest.mark.parametrize("order", [None, 1, 2])
def test_the_same_bits_in_any_order_of_blocks(dtype: str, order: int | None) -> None:
    shuffled = poisoned(block_order=order)
    assert_same_bits(passes(poisoned(), dtype), passes(shuffled, dtype))


def test_arrays_that_begin_between_vectors(dtype: str) -> None:
    assert_same_bits(passes(poisoned(), dtype), passes(ShiftedOps(EmulatorLauncher()), dtype))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "check",
    [
        check_shapes,
        check_merge,
        lambda ops, dtype: check_batch_norm(ops, (2, base.THREADS + 3, 1, 2), dtype, train=False),
        lambda ops, dtype: check_fused(ops, dtype),
    ],
    ids=["shapes", "merge", "more channels than threads", "fused"],
)
def test_every_access_is_sound(
    check: Callable[[PoisonedOps, str], None], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access out of bounds or uninitialised, and no race, of two blocks that take turns."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    check(poisoned(checked=True), dtype)


def check_statistics_are_constant(ops: PoisonedOps, dtype: str) -> None:
    """An infinite x after train=False must not reach dx: inf * 0 would be NaN."""
    x, dy = np.full((2, 1, 2, 2), np.inf, dtype), normal((2, 1, 2, 2), dtype)
    one, zero = np.ones(1, dtype), np.zeros(1, dtype)
    _, saved = ops.batch_norm2d_forward(x, one, zero, zero.copy(), one.copy(), train=False, eps=0)
    dx, _, _ = ops.batch_norm2d_backward(dy, saved, one)
    np.testing.assert_array_equal(dx, dy)


def test_constant_statistics_never_read_x(dtype: str) -> None:
    check_statistics_are_constant(poisoned(), dtype)
