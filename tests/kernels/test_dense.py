"""Linear and the losses on kernels: tile edges, chunks, alignment, wrong labels, block order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import dense as kernels
from gpucnn.ops.kernels.dense import DEPTH, MULTIPROCESSORS, GemmPlan
from tests.kernels.devices import poisoned
from tests.kernels.shifted import shifted
from tests.ops.harness import call, normal, rng
from tests.ops.test_dense import check_cross_entropy, check_squared_error


@pytest.fixture(scope="module")
def emulator() -> Ops:
    return poisoned()


def integers(shape: Any, dtype: str, seed: int = 0) -> np.ndarray:
    """Small whole numbers: sums of their products are exact in both types, in any order."""
    return rng(seed).integers(-4, 5, shape).astype(dtype)


def check_linear(ops: Ops, n: int, features: int, units: int, dtype: str = "float32") -> None:
    """Forward and backward of whole numbers, exactly."""
    x, w = integers((n, features), dtype), integers((units, features), dtype, 1)
    b, dy = integers(units, dtype, 2), integers((n, units), dtype, 3)
    np.testing.assert_array_equal(call(ops, "linear_forward", x, w, b), x @ w.T + b)
    np.testing.assert_array_equal(call(ops, "linear_forward", x, w), x @ w.T)
    dx, dw, db = call(ops, "linear_backward", dy, x, w)
    np.testing.assert_array_equal(dx, dy @ w)
    np.testing.assert_array_equal(dw, dy.T @ x)
    np.testing.assert_array_equal(db, dy.sum(axis=0))


def force(monkeypatch: pytest.MonkeyPatch, tile: int, chunk: int | None = None) -> None:
    """Make every plan use `tile`, and chunks of k where `chunk` is given."""

    def of(m: int, n: int, k: int, itemsize: int) -> GemmPlan:
        size = k if chunk is None else min(k, chunk)
        return GemmPlan(m, n, k, tile, size, -(-k // size) if size else 1)

    monkeypatch.setattr(GemmPlan, "of", staticmethod(of))


# Around the edges of the tile of 32 and of a row of 16 k, and within one vector.
EDGES = [(1, 1, 1), (31, 17, 33), (32, 16, 32), (33, 15, 31), (65, 48, 2), (2, 5, 70), (40, 33, 36)]


@pytest.mark.parametrize(("n", "features", "units"), EDGES)
def test_linear_at_the_edges_of_a_tile(
    emulator: Ops, dtype: str, n: int, features: int, units: int
) -> None:
    check_linear(emulator, n, features, units, dtype)


@pytest.mark.parametrize(("tile", "dtype"), [(64, "float32"), (64, "float64"), (128, "float32")])
def test_linear_with_larger_tiles(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch, tile: int, dtype: str
) -> None:
    force(monkeypatch, tile)
    check_linear(emulator, tile + 2, 17, tile - 4, dtype)
    check_linear(emulator, 2 * tile, tile, tile + 1, dtype)


@pytest.mark.parametrize("chunk", [16, 48])
def test_linear_in_chunks(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch, dtype: str, chunk: int
) -> None:
    """The last chunk is short, and one may be a part of a tile alone."""
    force(monkeypatch, 32, chunk)
    check_linear(emulator, 50, 97, 52, dtype)


@pytest.mark.parametrize(("n", "features", "units"), [(0, 4, 3), (3, 0, 4), (4, 3, 0), (0, 0, 2)])
def test_linear_without_samples_features_or_units(
    emulator: Ops, dtype: str, n: int, features: int, units: int
) -> None:
    check_linear(emulator, n, features, units, dtype)


def test_the_tile_does_not_change_a_bit(emulator: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, dy = (normal(s, "float32", i) for i, s in enumerate([(70, 40), (66, 40), (70, 66)]))
    results = []
    for tile in (32, 64, 128):
        force(monkeypatch, tile)
        results.append([emulator.linear_forward(x, w), *emulator.linear_backward(dy, x, w)])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_linear_of_unaligned_arrays(emulator: Ops, dtype: str) -> None:
    """Sizes of whole vectors, at addresses that are not."""
    x, w, dy = (normal(s, dtype, i) for i, s in enumerate([(40, 32), (36, 32), (40, 36)]))
    expected = [emulator.linear_forward(x, w), *emulator.linear_backward(dy, x, w)]
    x, w, dy = shifted(x), shifted(w), shifted(dy)
    moved = [emulator.linear_forward(x, w), *emulator.linear_backward(dy, x, w)]
    for first, second in zip(expected, moved, strict=True):
        np.testing.assert_array_equal(first, second)


def test_nan_stays_in_its_row(emulator: Ops, dtype: str) -> None:
    """The zeros beyond a matrix's edge are not multiplied into anybody's sum."""
    x, w = normal((35, 19), dtype), normal((34, 19), dtype, 1)
    x[3, 18] = np.nan
    y = emulator.linear_forward(x, w)
    assert np.isnan(y[3]).all()
    assert np.isfinite(np.delete(y, 3, axis=0)).all()


@pytest.mark.parametrize("rows", [1, 7, 9, 256, 257, 600])
@pytest.mark.parametrize("columns", [1, 33])
def test_bias_gradient(emulator: Ops, dtype: str, rows: int, columns: int) -> None:
    dy = integers((rows, columns), dtype)
    x, w = np.zeros((rows, 1), dtype), np.zeros((columns, 1), dtype)
    db = call(emulator, "linear_backward", dy, x, w)[2]
    np.testing.assert_array_equal(db, dy.sum(axis=0))


def test_bias_gradient_of_more_rows_than_chunks_of_the_least_size(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "BIAS_CHUNKS", 2)
    test_bias_gradient(emulator, "float32", 1025, 3)


PLANS = [
    (64, 10, 3136), (64, 3136, 10), (10, 3136, 64), (1, 1, 10**6), (8192, 8192, 8192), (5, 7, 0),
    (0, 7, 5), (512, 1000, 2048), (3, 3, 255), (3, 3, 511), (3, 3, 512),
]  # fmt: skip


@pytest.mark.parametrize(("m", "n", "k"), PLANS)
def test_plans_cover_the_product(m: int, n: int, k: int) -> None:
    """Every k in one chunk, no chunk empty, whole tiles of k but for the last chunk."""
    for itemsize in (4, 8):
        plan = GemmPlan.of(m, n, k, itemsize)
        assert plan.chunks * plan.chunk >= k
        assert k == 0 or (plan.chunks - 1) * plan.chunk < k
        assert plan.chunks == 1 or plan.chunk % DEPTH == 0
        x, y, z = plan.grid
        assert x * plan.tile**2 >= m * n
        assert (y, z) == (1, plan.chunks)


def test_plans_fill_the_gpu() -> None:
    """A small output of a long k is split, a large one gets the large tile."""
    small = GemmPlan.of(64, 10, 3136, 4)
    assert (small.tile, small.chunks) == (32, 12)
    large = GemmPlan.of(8192, 8192, 1024, 4)
    assert (large.tile, large.chunks) == (128, 1)
    assert large.grid[0] >= MULTIPROCESSORS
    assert GemmPlan.of(8192, 8192, 1024, 8).tile == 64


@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize(
    ("rows", "classes"), [(9, 10), (17, 33), (33, 3), (2, 1024), (2, 1025), (300, 2)]
)
def test_cross_entropy_of_teams_and_grids(
    emulator: Ops, dtype: str, rows: int, classes: int, smoothing: float
) -> None:
    check_cross_entropy(emulator, normal((rows, classes), dtype), smoothing, "mean")


def check_wrong_labels(ops: Ops, classes: int = 3) -> None:
    """NaN in that row and in the loss, and nowhere else."""
    for label in (-1, classes, 2**31 - 1, -(2**31)):
        logits = normal((4, classes), "float32")
        labels = np.asarray([0, label, 1, classes - 1], np.int32)
        loss, dlogits = call(ops, "softmax_cross_entropy", logits, labels)
        assert np.isnan(loss)
        assert np.isnan(dlogits[1]).all()
        assert np.isfinite(dlogits[[0, 2, 3]]).all()


@pytest.mark.parametrize("classes", [3, 1100])
def test_a_label_outside_the_classes_is_nan(emulator: Ops, classes: int) -> None:
    check_wrong_labels(emulator, classes)


def check_impossible_class(ops: Ops) -> None:
    """A logit of -inf is a probability of 0, which without smoothing costs nothing."""
    logits = np.asarray([[0, -np.inf, 0], [np.log(3), 0, -np.inf]], "float64")
    loss, dlogits = call(ops, "softmax_cross_entropy", logits, np.asarray([0, 1], np.int32))
    np.testing.assert_allclose(loss, (np.log(2) + np.log(4)) / 2, rtol=1e-15)
    np.testing.assert_allclose(dlogits, [[-0.25, 0, 0.25], [0.375, -0.375, 0]], rtol=1e-15)


def test_cross_entropy_of_an_impossible_class(emulator: Ops) -> None:
    check_impossible_class(emulator)


@pytest.mark.parametrize("shape", [(1, 1023), (1025, 1), (3, 1111), (2, 5000)])
def test_squared_error_of_several_blocks(emulator: Ops, dtype: str, shape: tuple[int, ...]) -> None:
    check_squared_error(emulator, shape, dtype, "mean")


def test_squared_error_of_a_grid_smaller_than_the_array(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(kernels, "GRID_STRIDE_BLOCKS", 2)
    check_squared_error(emulator, (3, 3001), dtype, "sum")


def test_squared_error_does_not_depend_on_alignment(emulator: Ops, dtype: str) -> None:
    """Not even the order of its sum."""
    y, target = normal((3, 1111), dtype), normal((3, 1111), dtype, 1)
    expected = emulator.mean_squared_error(y, target)
    moved = emulator.mean_squared_error(shifted(y), shifted(target))
    for first, second in zip(expected, moved, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "check",
    [
        lambda ops, dtype: check_linear(ops, 33, 36, 34, dtype),
        lambda ops, dtype: check_linear(ops, 1, 600, 5, dtype),
        lambda ops, dtype: check_linear(ops, 600, 3, 5, dtype),
        lambda ops, dtype: check_linear(ops, 0, 4, 3, dtype),
        lambda ops, dtype: check_cross_entropy(ops, normal((9, 33), dtype), 0.1, "mean"),
        lambda ops, dtype: check_cross_entropy(ops, normal((2, 1100), dtype), 0.1, "mean"),
        lambda ops, dtype: check_wrong_labels(ops),
        lambda ops, dtype: check_squared_error(ops, (3, 1111), dtype, "mean"),
    ],
)
def test_every_access_is_sound(check: Callable[[Ops, str], None], dtype: str) -> None:
    """No access out of bounds, misaligned or uninitialised, no race, no barrier missed."""
    check(poisoned(checked=True), dtype)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_every_access_of_chunks_is_sound(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partial sums of 2,600 elements, added by several blocks."""
    force(monkeypatch, 32, 16)
    check_linear(poisoned(checked=True), 50, 97, 52, dtype)


def random(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [normal(shape, "float32", i) for i, shape in enumerate(shapes)]


WORK: list[Callable[[Ops], Any]] = [
    lambda ops: [ops.linear_forward(*random((70, 600), (40, 600), (40,)))],
    lambda ops: ops.linear_backward(*random((600, 40), (600, 33), (40, 33))),
    lambda ops: ops.softmax_cross_entropy(*random((40, 33)), np.zeros(40, np.int32)),
    lambda ops: ops.mean_squared_error(*random((3, 3000), (3, 3000))),
]


@pytest.mark.parametrize("work", WORK)
def test_the_order_of_blocks_does_not_matter(emulator: Ops, work: Callable[[Ops], Any]) -> None:
    """Twice the same bits, and again with the blocks shuffled."""
    expected = work(emulator)
    shuffled = [poisoned(block_order=order) for order in (1, 2)]
    for ops in (emulator, *shuffled):
        for first, second in zip(expected, work(ops), strict=True):
            np.testing.assert_array_equal(first, second)
