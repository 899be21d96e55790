"""The image family on kernels: alignment, grids, every access, order of blocks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import base
from gpucnn.runtime import emulator_build
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.devices import poisoned
from tests.kernels.faults import changed_folder
from tests.kernels.shifted import ShiftedOps, shifted
from tests.ops import test_images as general

# More than two blocks of 256 places or groups, and a tail.
LARGE = (5, 3, 20, 17)


def check_all(ops: Ops, shape: tuple[int, ...] = (3, 2, 5, 7), dtype: str = "float32") -> None:
    """Every change of images, against the loops over pixels."""
    for check in general.CHECKS:
        check(ops, shape, dtype)


def check_gathers(ops: Ops) -> None:
    for image in ((1, 4, 4), (3, 5, 7), (3, 20, 16)):
        for dtype in ("uint8", "float32"):
            general.check_gather_images(ops, image, dtype)
    for kind in ("int32", "float32", "float64"):
        general.check_gather_rows(ops, (300, 33), kind)


def check_unaligned(ops: Ops) -> None:
    """A set that begins off its groups of four: within a block, or another library's."""
    for dtype in ("uint8", "float32"):
        general.check_gather_images(ops, (2, 4, 4), dtype, shifted)


def check_unaligned_result(ops: Ops) -> None:
    general.check_gather_images(ShiftedOps(ops.launcher), (2, 4, 4), "uint8")  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(2, 2, 16, 16), LARGE])
def test_a_grid_smaller_than_the_batch(
    monkeypatch: pytest.MonkeyPatch, dtype: str, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 1)
    check_all(poisoned(), shape, dtype)
    check_gathers(poisoned())


def test_where_the_arrays_begin_does_not_matter() -> None:
    check_unaligned(poisoned())
    check_unaligned_result(poisoned())
    check_gathers(ShiftedOps(EmulatorLauncher()))
    check_all(ShiftedOps(EmulatorLauncher()))


@pytest.mark.skipif(not emulator_build._machine_flags(), reason="a processor without fma")
@pytest.mark.parametrize("number", [0, 1])
def test_a_product_that_is_fused_with_a_sum_is_caught(number: int, tmp_path: Path) -> None:
    """As a GPU's compiler would, were the kernel not to keep it from that."""
    from tests.kernels.faults.images import FUSED  # which imports the checks above

    fault = FUSED[number]
    fault.check(poisoned())
    ops = poisoned(folder=changed_folder(fault, tmp_path))
    with pytest.raises(AssertionError):
        fault.check(ops)


@pytest.mark.parametrize(
    "check",
    [
        check_all,
        lambda ops: check_all(ops, LARGE),
        lambda ops: check_all(ops, (2, 1, 1, 1), "float64"),
        check_gathers,
        check_unaligned,
        check_unaligned_result,
        *(lambda ops, wrong=wrong: general.test_an_index_that_cannot_be(ops, wrong)
          for wrong in (-1, 3)),
        lambda ops: general.test_the_farthest_offsets_and_corners(ops, general.MOST),
    ],
)  # fmt: skip
def test_every_access_is_sound(
    check: Callable[[Ops], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access out of bounds, misaligned or uninitialised, no race."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 2)
    check(poisoned(checked=True))


X = general.pixels(LARGE, "float32")
BLOCKS: list[Callable[[Ops], Any]] = [
    lambda ops: ops.rotate_images(X, general.turns(np.linspace(-1, 1, 5))),
    lambda ops: ops.shift_images(X, general.pairs(5, -4, 4)),
    lambda ops: ops.gather_images(X, np.array([4, 0, 2], np.int32)),
    lambda ops: ops.gather_rows(X, np.array([4, 0, 2], np.int32)),
]


@pytest.mark.parametrize("work", BLOCKS)
def test_the_order_of_blocks_does_not_matter(work: Callable[[Ops], Any]) -> None:
    expected = work(poisoned())
    for order in (1, 2):
        general.assert_bits(work(poisoned(block_order=order)), expected)
