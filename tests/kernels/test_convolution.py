"""What is special to the convolutions' kernels: tiles, phases of the stride, slices of a sum."""

from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.kernels import base
from gpucnn.ops.kernels.conv_plan import ConvPlan, candidates
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.emulator import EmulatorLauncher
from tests.kernels.convolution_geometries import FEW, PACKED, SPLIT, TILED, Geometry
from tests.kernels.devices import PoisonedOps, poisoned
from tests.kernels.shifted import ShiftedOps, assert_same_bits, shifted
from tests.ops.geometries import GEOMETRIES
from tests.ops.harness import normal
from tests.ops.test_convolution import CHECKS
from tests.oracles.convolution import Convolution
from tests.oracles.tolerance import assert_close


class Reference(Convolution):
    """The same geometry on the `cpu` device in float64: fast enough for tiles."""

    def __init__(self, x_shape: Any, w_shape: Any, **settings: Any):
        super().__init__(x_shape, w_shape, **settings)
        self.settings = settings

    def _call(self, method: str, *args: Any) -> Any:
        wide = [a.astype("float64") if isinstance(a, np.ndarray) else a for a in args]
        return getattr(NumpyOps(), method)(*wide, **self.settings)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> Any:
        return self._call("conv2d_forward", x, w, b)

    def backward_input(self, dy: np.ndarray, w: np.ndarray) -> Any:
        return self._call("conv2d_backward_input", dy, w, self.x_shape)

    def backward_weight(self, dy: np.ndarray, x: np.ndarray) -> Any:
        return self._call("conv2d_backward_weight", dy, x, self.w_shape)


def check_all(ops: Ops, geometry: Geometry, dtype: str = "float32") -> None:
    x_shape, w_shape, kw = geometry
    for check in CHECKS:
        check(ops, Reference(x_shape, w_shape, **kw), kw, dtype)


@pytest.mark.parametrize("name", [*TILED, *PACKED, *FEW, *SPLIT])
def test_agreement_with_the_cpu(dtype: str, name: str) -> None:
    check_all(poisoned(), (TILED | PACKED | FEW | SPLIT)[name], dtype)


@pytest.mark.parametrize(
    "geometry", [*FEW.values(), *SPLIT.values(), *PACKED.values(), TILED["groups"]]
)
def test_no_fault_in_checked_mode(geometry: Geometry) -> None:
    check_all(poisoned(checked=True), geometry)


def passes_of(ops: Ops, x: Any, w: Any, b: Any, dy: Any, kw: dict[str, Any]) -> list[Any]:
    """y, dx, dw and db."""
    return [
        ops.conv2d_forward(x, w, b, **kw),
        ops.conv2d_backward_input(dy, w, x.shape, **kw),
        ops.conv2d_backward_weight(dy, x, w.shape, **kw),
        ops.conv2d_backward_bias(dy),
    ]


def passes(ops: Ops, geometry: Geometry, dtype: str) -> list[Any]:
    """The same on arrays of the geometry's shapes."""
    x_shape, w_shape, kw = geometry
    y_shape = Convolution(x_shape, w_shape, **kw).y_shape
    x, w, dy = normal(x_shape, dtype), normal(w_shape, dtype, 1), normal(y_shape, dtype, 2)
    return passes_of(ops, x, w, None, dy, kw)


class PlannedOps(PoisonedOps):
    """Every pass by the candidate of this number, or by its last."""

    number = 0

    def _plan(self, operation: Any, shape: Any, dtype: Any) -> ConvPlan:
        plans = list(candidates(super()._plan(operation, shape, dtype), dtype.name))
        return plans[min(self.number, len(plans) - 1)]


def planned(number: int, *, checked: bool = False) -> PlannedOps:
    ops = PlannedOps(EmulatorLauncher(checked=checked))
    ops.number = number
    return ops


EACH_CANDIDATE = [
    pytest.param(dtype, number, id=f"{dtype}-{number}")
    for dtype, count in (("float32", 15), ("float64", 2))
    for number in range(count)
]
ODD = ["stride_2", "groups_over_tiles", "tile_over_two_images", "dilation_and_stride",
       "packs_over_tiles", "depth_of_one_tap", "bands_of_rows", "split_3",
       "direct_17_filters"]  # fmt: skip


@pytest.mark.parametrize(("dtype", "number"), EACH_CANDIDATE)
def test_every_candidate_is_right_and_gives_the_same_bits(dtype: str, number: int) -> None:
    """A sum is taken in the order of its depth by one thread, whatever the tile and the stages."""
    for name in ODD:
        geometry = (TILED | PACKED | SPLIT | FEW)[name]
        check_all(planned(number), geometry, dtype)
        usual, other = (passes(ops, geometry, dtype) for ops in (planned(0), planned(number)))
        for a, b in zip(usual, other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    "number", [n if n % 5 == 0 else pytest.param(n, marks=pytest.mark.slow) for n in range(15)]
)
def test_no_candidate_has_a_fault_in_checked_mode(number: int) -> None:
    for name in ("stride_2", "packs_over_tiles", "packs_everywhere"):
        check_all(planned(number, checked=True), (TILED | PACKED)[name])


@pytest.mark.parametrize("order", [None, 1, 2])
def test_the_same_bits_in_any_order_of_blocks(dtype: str, order: int | None) -> None:
    shuffled = PoisonedOps(EmulatorLauncher(block_order=order))
    for geometry in (*SPLIT.values(), TILED["stride_3"], FEW["direct_17_filters"]):
        results = passes(poisoned(), geometry, dtype), passes(shuffled, geometry, dtype)
        for a, b in zip(*results, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["packs_everywhere", "packs_of_weights", "packs_of_pixels"])
def test_the_same_bits_from_arrays_that_begin_anywhere(dtype: str, name: str) -> None:
    """Accesses of 16 bytes or single ones: the sums are the same."""
    x_shape, w_shape, kw = PACKED[name]
    y_shape = Convolution(x_shape, w_shape, **kw).y_shape
    x, w, b = normal(x_shape, dtype), normal(w_shape, dtype, 1), normal(w_shape[:1], dtype, 2)
    dy = normal(y_shape, dtype, 3)
    moved = ShiftedOps(EmulatorLauncher())
    assert_same_bits(
        passes_of(poisoned(), x, w, b, dy, kw),
        passes_of(moved, *map(shifted, (x, w, b, dy)), kw),
    )


def test_more_than_one_grid(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels that loop with the grid's stride, with a grid of one block."""
    monkeypatch.setattr(base, "GRID_STRIDE_BLOCKS", 1)
    check_all(poisoned(), ((2, 4, 12, 11), (8, 1, 3, 3), {"groups": 4, "padding": 1}), dtype)
    check_all(poisoned(), ((3, 12, 9, 9), (32, 12, 1, 1), {}), dtype)


def check_bias(ops: Ops, shape: tuple[int, ...], dtype: str = "float32") -> None:
    dy = normal(shape, dtype)
    axes, terms = (0, 2, 3), dy.size // max(1, shape[1]) + 1
    wide = dy.astype("float64")
    db = ops.conv2d_backward_bias(dy)
    assert_close(db, wide.sum(axes), terms=terms, magnitude=abs(wide).sum(axes), what="db")


@pytest.mark.parametrize(
    "shape",
    [(3, 2, 27, 29), (300, 3, 1, 1), (2, 1, 50, 41), (9, 3, 16, 16), (2, 3, 0, 4), (4, 0, 2, 2)],
)
def test_bias(dtype: str, shape: tuple[int, ...]) -> None:
    check_bias(poisoned(), shape, dtype)


def full_convolution(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], kw: dict[str, Any]
) -> np.ndarray:
    """dx as the seeds define it (S4 eq. 15): insert zeros into δ, pad, rot180(w), correlate."""
    g = Convolution(x_shape, w.shape, **kw)
    n, k, p, q = dy.shape
    channels, taps_h, taps_w = w.shape[1:]
    (sh, sw), (dh, dw) = g.stride, g.dilation
    wide, high = (taps_w - 1) * dw, (taps_h - 1) * dh
    dilated = np.zeros((n, k, (p - 1) * sh + 1, (q - 1) * sw + 1))
    dilated[:, :, ::sh, ::sw] = dy
    # A margin of the kernel's extent gives the full convolution; x is cut out of it, and what no
    # window reaches is 0.
    top, left = g.padding[0][0], g.padding[1][0]
    padded = np.zeros((n, k, top + x_shape[2] + 2 * high, left + x_shape[3] + 2 * wide))
    rows = min(dilated.shape[2], padded.shape[2] - high)
    columns = min(dilated.shape[3], padded.shape[3] - wide)
    padded[:, :, high : high + rows, wide : wide + columns] = dilated[:, :, :rows, :columns]
    turned = w[:, :, ::-1, ::-1]
    dx = np.zeros(x_shape)
    of_group = k // g.groups
    for group in range(g.groups):
        filters = slice(group * of_group, (group + 1) * of_group)
        inputs = slice(group * channels, (group + 1) * channels)
        for r in range(taps_h):
            for s in range(taps_w):
                window = padded[:, filters, top + r * dh :, left + s * dw :]
                window = window[:, :, : x_shape[2], : x_shape[3]]
                dx[:, inputs] += np.einsum("nkij,kc->ncij", window, turned[filters, :, r, s])
    return dx


PHASES = [n for n, (_, _, kw) in GEOMETRIES.items() if "stride" in kw and "batch" not in n]


@pytest.mark.parametrize("name", PHASES + [n for n in TILED if "stride" in n])
def test_phases_are_the_convolution_of_the_dilated_delta(dtype: str, name: str) -> None:
    x_shape, w_shape, kw = (GEOMETRIES | TILED)[name]
    y_shape = Convolution(x_shape, w_shape, **kw).y_shape
    dy, w = normal(y_shape, dtype, 3), normal(w_shape, dtype, 4)
    dx = poisoned().conv2d_backward_input(dy, w, x_shape, **kw)
    expected, magnitude = (
        full_convolution(d.astype("float64"), v.astype("float64"), x_shape, kw)
        for d, v in ((dy, w), (abs(dy), abs(w)))
    )
    assert_close(dx, expected, terms=w[:, 0].size, magnitude=magnitude, what="dx")


def test_which_kernel_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    monkeypatch.setattr(
        EmulatorLauncher, "_launch", lambda self, kernel, *args: launched.append(kernel.symbol)
    )
    for name in ("groups", "stride_2"):
        passes(poisoned(), TILED[name], "float32")
    assert set(launched) == {
        "conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight",
        "conv2d_backward_bias",
    }  # fmt: skip
    launched.clear()
    passes(poisoned(), SPLIT["split_depthwise"], "float32")
    assert launched == [
        "conv2d_forward_depthwise", "conv2d_backward_input_depthwise",
        "conv2d_backward_weight_direct", "conv2d_backward_weight_reduce",
        "conv2d_backward_bias", "conv2d_backward_bias_reduce",
    ]  # fmt: skip
    launched.clear()
    passes(poisoned(), FEW["direct_groups"], "float32")
    assert launched[:3] == [
        "conv2d_forward_direct", "conv2d_backward_input_direct", "conv2d_backward_weight_direct",
    ]  # fmt: skip
    launched.clear()
    passes(poisoned(), FEW["direct_17_filters"], "float32")
    assert launched[2] == "conv2d_backward_weight"
