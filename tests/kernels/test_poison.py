"""The poison that the other tests rely on: it is in every result and workspace, and it shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import KernelError
from gpucnn.ops.base import Ops
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Dim, Kernel
from tests.kernels.devices import PoisonedOps, poisoned
from tests.kernels.faults import Fault, changed_folder
from tests.kernels.shifted import ShiftedOps
from tests.kernels.test_elementwise import check_add
from tests.ops.harness import normal
from tests.ops.test_arguments import CALLS, host_arrays


class Watcher(EmulatorLauncher):
    """Whatever a kernel is the first to write is poison, or the caller's own array."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.known: list[np.ndarray] = []
        self.fresh = 0

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        for parameter, a in zip(kernel.parameters, args, strict=True):
            if parameter.pointer and parameter.written and a is not None:
                if not any(np.shares_memory(a, other) for other in self.known):
                    assert (a.reshape(-1).view(np.uint8) == 0xFF).all(), parameter.name
                    self.fresh += 1
                self.known.append(a)
        super()._launch(kernel, grid, block, args, shared_bytes)


# Those that only write arguments.
IN_PLACE = {name for name in CALLS if name.endswith("_update")}


def watched(work: Callable[[Ops, dict[str, np.ndarray]], Any], arrays: dict[str, Any]) -> int:
    """How many arrays began as poison."""
    launcher = Watcher()
    launcher.known += arrays.values()
    work(PoisonedOps(launcher), arrays)
    return launcher.fresh


@pytest.mark.parametrize("method", CALLS)
def test_every_result_and_workspace_begins_as_poison(dtype: str, method: str) -> None:
    options = CALLS[method][1]
    fresh = watched(lambda ops, a: getattr(ops, method)(**a, **options), host_arrays(method, dtype))
    assert (fresh == 0) == (method in IN_PLACE)


WORKSPACES: dict[str, tuple[int, Callable[[Ops, dict[str, Any]], Any]]] = {
    # dw, db and the parts of both; more than a chunk of rows each.
    "linear_backward": (
        5,
        lambda ops, a: ops.linear_backward(a["rows"], a["rows"], a["w"]),
    ),
    # y, mean, inverse_std and the chunks; then dx, dgamma, dbeta, the chunks, shift and slope.
    "batch_norm2d": (
        10,
        lambda ops, a: ops.batch_norm2d_backward(
            a["image"],
            ops.batch_norm2d_forward(a["image"], *a["channels"], train=True)[1],
            a["channels"][0],
        ),
    ),
    "concat": (1, lambda ops, a: ops.concat([a["rows"], a["rows"]], axis=0)),
}


@pytest.mark.parametrize("name", WORKSPACES)
def test_so_do_split_sums_and_lists_of_arrays(dtype: str, name: str) -> None:
    least, work = WORKSPACES[name]
    launcher = Watcher()
    arrays: dict[str, Any] = {
        "rows": normal((1500, 3), dtype),
        "w": normal((3, 3), dtype),
        "image": normal((3, 2, 40, 40), dtype),
        "channels": [normal(2, dtype, i) for i in range(4)],
    }
    launcher.known += [arrays["rows"], arrays["w"], arrays["image"], *arrays["channels"]]
    work(PoisonedOps(launcher), arrays)
    assert launcher.fresh >= least


LEFT_OUT = Fault("elementwise.cuh", "the last of the rest", "rest < uint32(count)",
                 "rest < uint32(count) - 1", check_add)  # fmt: skip


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("kind", [PoisonedOps, ShiftedOps])
def test_an_element_not_written_is_caught(
    kind: type[PoisonedOps], checked: bool, tmp_path: Path
) -> None:
    """One element of 1025 is left as it was."""
    check_add(kind(EmulatorLauncher(checked=checked)))
    ops = kind(EmulatorLauncher(changed_folder(LEFT_OUT, tmp_path), checked=checked))
    with pytest.raises(AssertionError, match="nan"):
        check_add(ops)


UNWRITTEN = Fault("max_abs", "the first block alone", "if (lane == 0) out[",
                  "if (lane == 0 && blockIdx.x == 0) out[", check_add)  # fmt: skip


@pytest.mark.parametrize("kind", [PoisonedOps, ShiftedOps])
def test_poison_hides_nothing_from_initcheck(kind: type[PoisonedOps], tmp_path: Path) -> None:
    """The second pass reads what the first has not written, and is told so, not given NaN."""
    ops = kind(EmulatorLauncher(changed_folder(UNWRITTEN, tmp_path), checked=True))
    with pytest.raises(KernelError, match=r"initcheck: .* that nothing has written, byte 4 of a"):
        ops.max_abs(normal(5000, "float32"))


def test_poison_of_every_kind() -> None:
    ops = poisoned()
    assert np.isnan(ops.empty((2, 3), "float32")).all()
    assert np.isnan(ops.empty((), "float64"))
    assert (ops.empty((4,), "int32") == -1).all()
    assert (ops.empty((4,), "uint8") == 255).all()
    assert ops.empty((0, 3), "float32").size == 0
