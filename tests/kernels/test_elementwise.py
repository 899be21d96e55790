"""Activations, softmax and joins on kernels: tails, alignment, grids, teams, order of blocks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import base
from gpucnn.ops.kernels.elementwise import WARP_COLUMNS, row_launch, vectors
from tests.kernels.devices import poisoned
from tests.kernels.shifted import shifted
from tests.ops.harness import call, normal
from tests.ops.test_elementwise import ACTIVATIONS, check_activation, softmax_terms
from tests.oracles import dense
from tests.oracles.tolerance import assert_close

# Around a vector of 16 bytes, and around what a block of 256 threads takes at once, in both types.
COUNTS = [1, 2, 3, 4, 5, 7, 9, 511, 513, 1023, 1025]


@pytest.fixture(scope="module")
def emulator() -> Ops:
    return poisoned()


def check_tails(ops: Ops, name: str, counts: list[int] = COUNTS) -> None:
    """An activation of sizes that leave elements over."""
    for count in counts:
        for dtype in ("float32", "float64"):
            check_activation(ops, name, 3 * normal(count, dtype))


def check_add(ops: Ops, count: int = 1025) -> None:
    a, b = normal(count, "float32"), normal(count, "float32", 1)
    np.testing.assert_array_equal(call(ops, "add", a, b), a + b)


def check_softmax(ops: Ops, rows: int, columns: int, dtype: str = "float32") -> None:
    """Both passes against the oracle."""
    x, dy = 3 * normal((rows, columns), dtype), normal((rows, columns), dtype, 1)
    y = call(ops, "softmax_forward", x)
    assert_close(y, dense.softmax_rows(x), terms=softmax_terms(x), what="y")
    dx = call(ops, "softmax_backward", dy, y)
    wide, delta = y.astype(np.float64), dy.astype(np.float64)
    product = (wide * delta).sum(axis=-1, keepdims=True)
    size = wide * (abs(delta) + (wide * abs(delta)).sum(axis=-1, keepdims=True))
    assert_close(dx, wide * (delta - product), terms=columns + 4, magnitude=size, what="dx")


def check_largest_column(ops: Ops, columns: int) -> None:
    """Wherever it stands: without it the powers overflow."""
    for place in (0, 3, columns // 2, columns - 1):
        x = np.zeros((1, columns), "float32")
        x[0, place] = 1e4
        np.testing.assert_array_equal(call(ops, "softmax_forward", x), x == 1e4)


def check_join(ops: Ops, sizes: tuple[int, ...], inner: int, dtype: str = "float32") -> None:
    """concat along the middle axis, and split back."""
    parts = [normal((3, size, inner), dtype, i) for i, size in enumerate(sizes)]
    joined = call(ops, "concat", parts, axis=1)
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis=1))
    for piece, part in zip(call(ops, "split", joined, sizes, axis=1), parts, strict=True):
        np.testing.assert_array_equal(piece, part)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_tails(emulator: Ops, name: str) -> None:
    check_tails(emulator, name)


@pytest.mark.parametrize("count", COUNTS)
def test_add(emulator: Ops, count: int) -> None:
    check_add(emulator, count)


@pytest.mark.parametrize(("dtype", "count"), [("float32", 4), ("float64", 2)])
def test_a_vector_is_16_bytes(dtype: str, count: int) -> None:
    kind = np.dtype(dtype)
    assert [vectors(n, kind) for n in (0, 1, count, count + 1)] == [0, 1, 1, 2]


ELEMENTWISE: list[tuple[str, int, dict[str, Any]]] = [
    ("relu_forward", 1, {}),
    ("relu_backward", 2, {}),
    ("leaky_relu_forward", 1, {"negative_slope": 0.2}),
    ("leaky_relu_backward", 2, {"negative_slope": 0.2}),
    ("sigmoid_forward", 1, {}),
    ("sigmoid_backward", 2, {}),
    ("tanh_forward", 1, {}),
    ("tanh_backward", 2, {}),
    ("add", 2, {}),
]


@pytest.mark.parametrize(("method", "inputs", "kw"), ELEMENTWISE, ids=lambda v: str(v))
def test_alignment_does_not_change_a_bit(
    emulator: Ops, dtype: str, method: str, inputs: int, kw: dict[str, Any]
) -> None:
    arrays = [normal(1027, dtype, i) for i in range(inputs)]
    expected = getattr(emulator, method)(*arrays, **kw)
    for moved in range(inputs):
        mixed = [shifted(a) if i == moved else a for i, a in enumerate(arrays)]
        np.testing.assert_array_equal(getattr(emulator, method)(*mixed, **kw), expected)


@pytest.mark.parametrize(("method", "inputs", "kw"), ELEMENTWISE, ids=lambda v: str(v))
def test_a_grid_smaller_than_the_array(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch, dtype: str, method: str, inputs: int, kw: Any
) -> None:
    """Two blocks go over the array several times, and leave a tail."""
    arrays = [normal(5 * 2048 + 3, dtype, i) for i in range(inputs)]
    expected = getattr(emulator, method)(*arrays, **kw)
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    np.testing.assert_array_equal(getattr(emulator, method)(*arrays, **kw), expected)


@pytest.mark.parametrize("columns", [1, 2, 31, 32, 33, 70])
@pytest.mark.parametrize("rows", [1, 7, 9])
def test_softmax_of_a_warp_a_row(emulator: Ops, dtype: str, rows: int, columns: int) -> None:
    check_softmax(emulator, rows, columns, dtype)


@pytest.mark.parametrize("columns", [WARP_COLUMNS, WARP_COLUMNS + 1, 1337])
def test_softmax_of_long_rows(emulator: Ops, dtype: str, columns: int) -> None:
    check_softmax(emulator, 3, columns, dtype)


def test_teams_by_the_length_of_a_row() -> None:
    assert row_launch(17, WARP_COLUMNS) == ((3, 1, 1), (32, 8, 1))
    assert row_launch(17, WARP_COLUMNS + 1) == ((17, 1, 1), (256, 1, 1))
    assert row_launch(0, 5)[0] == (0, 1, 1)


@pytest.mark.parametrize("columns", [5, 70, 1100])
def test_softmax_takes_out_the_largest(emulator: Ops, columns: int) -> None:
    check_largest_column(emulator, columns)


@pytest.mark.parametrize("columns", [5, 1100])
def test_softmax_of_nan_stays_in_its_row(emulator: Ops, dtype: str, columns: int) -> None:
    for place in (0, columns // 2, columns - 1):
        x = normal((3, columns), dtype)
        x[1, place] = np.nan
        y = call(emulator, "softmax_forward", x)
        assert np.isnan(y[1]).all()
        assert np.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("inner", [1, 2, 4, 6, 8])
@pytest.mark.parametrize("sizes", [(2, 2), (1, 3, 2), (2, 4, 2), (4, 0, 4), (1, 1, 1, 1, 1)])
def test_joins(emulator: Ops, dtype: str, sizes: tuple[int, ...], inner: int) -> None:
    """Widths and first columns that are and are not whole vectors."""
    check_join(emulator, sizes, inner, dtype)


def test_joins_of_unaligned_arrays_and_small_grids(
    emulator: Ops, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 1)
    parts = [shifted(normal((3, 300, 8), dtype, i)) for i in range(2)]
    joined = emulator.concat(parts, axis=1)
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis=1))
    for piece, part in zip(emulator.split(shifted(joined), [300, 300], axis=1), parts, strict=True):
        np.testing.assert_array_equal(piece, part)


@pytest.mark.parametrize(
    "check",
    [
        *(lambda ops, name=name: check_tails(ops, name, [0, 1, 9, 1025]) for name in ACTIVATIONS),
        check_add,
        lambda ops: check_softmax(ops, 9, 33),
        lambda ops: check_softmax(ops, 2, 1100),
        lambda ops: check_softmax(ops, 3, 33, "float64"),
        lambda ops: check_join(ops, (2, 4, 2), 1),
        lambda ops: check_join(ops, (4, 0, 4), 4),
        lambda ops: check_join(ops, (300, 33), 4),
        lambda ops: check_join(ops, (301, 33), 3, "float64"),
    ],
)
def test_every_access_is_sound(
    check: Callable[[Ops], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access out of bounds, misaligned or uninitialised, no race, no barrier missed."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    check(poisoned(checked=True))


BLOCKS: list[Callable[[Ops], Any]] = [
    lambda ops: ops.sigmoid_forward(normal(5000, "float32")),
    lambda ops: ops.softmax_forward(normal((40, 33), "float32")),
    lambda ops: ops.softmax_backward(*(normal((5, 1100), "float32", i) for i in range(2))),
    lambda ops: ops.concat([normal((40, 33), "float32", i) for i in range(2)], axis=1),
]


@pytest.mark.parametrize("work", BLOCKS)
def test_the_order_of_blocks_does_not_matter(emulator: Ops, work: Callable[[Ops], Any]) -> None:
    expected = work(emulator)
    for order in (1, 2):
        shuffled = poisoned(block_order=order)
        np.testing.assert_array_equal(work(shuffled), expected)
