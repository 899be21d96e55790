"""Graphs: what is captured runs at their launches alone, on what then lies at its addresses."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import CaptureError
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel

RELU = Kernel("relu_forward", "relu_forward", (("SCALAR", "float"),))


@pytest.fixture(params=["plain", "checked"])
def ops(request: pytest.FixtureRequest) -> KernelOps:
    return KernelOps(EmulatorLauncher(checked=request.param == "checked"))


def relu(ops: KernelOps, x: Any, y: Any) -> Callable[[], None]:
    return lambda: ops.launcher.launch(RELU, (1, 1, 1), (32, 1, 1), [x, y, x.size])


def test_a_captured_launch_runs_when_the_graph_is_launched(ops: KernelOps) -> None:
    x, y = ops.asarray(np.array([-1, 2], np.float32)), ops.zeros((2,), "float32")
    graph = ops.launcher.capture(relu(ops, x, y))
    np.testing.assert_array_equal(y, [0, 0])
    graph.launch()
    np.testing.assert_array_equal(y, [0, 2])
    x[...] = [3, -4]
    graph.launch()
    np.testing.assert_array_equal(y, [3, 0])


def test_launches_and_copies_keep_their_order(ops: KernelOps) -> None:
    x, y, z = (ops.zeros((2,), "float32") for _ in range(3))

    def work() -> None:
        ops.memory.copy(y, x)
        relu(ops, y, z)()
        ops.memory.copy(y, z)

    graph = ops.launcher.capture(work)
    ops.memory.write(x, np.array([5, -6], np.float32))
    graph.launch()
    for a in (y, z):
        np.testing.assert_array_equal(a, [5, 0])


def test_after_a_capture_launches_run_at_once(ops: KernelOps) -> None:
    x, y = ops.asarray(np.array([-1, 2], np.float32)), ops.zeros((2,), "float32")

    def fails() -> None:
        raise ZeroDivisionError

    ops.launcher.capture(lambda: None)
    with pytest.raises(ZeroDivisionError):
        ops.launcher.capture(fails)
    relu(ops, x, y)()
    ops.memory.copy(x, y)
    np.testing.assert_array_equal(x, [0, 2])


def test_a_graph_keeps_no_array(ops: KernelOps) -> None:
    """So that an arena sees the lifetimes of an eager step."""
    block = ops.memory.block(1024)
    gone = []

    def work() -> None:
        x, token = ops.memory.place(block, 0, (2,), "float32")
        y, _ = ops.memory.place(block, 256, (2,), "float32")
        gone.append(weakref.ref(token))
        relu(ops, x, y)()

    graph = ops.launcher.capture(work)
    gc.collect()
    assert gone[0]() is None
    x, _ = ops.memory.place(block, 0, (2,), "float32")
    y, _ = ops.memory.place(block, 256, (2,), "float32")
    x[...] = [7, -8]
    graph.launch()
    np.testing.assert_array_equal(y, [7, 0])


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda ops: ops.asarray([1.0]), "asarray allocates"),
        (lambda ops: ops.empty((1,), "float32"), "outside of the arena"),
        (lambda ops: ops.zeros((1,), "float32"), "outside of the arena"),
        (lambda ops: ops.to_numpy(np.zeros(1)), "to_numpy reads on the host"),
        (lambda ops: ops.synchronize(), "synchronize waits"),
    ],
)
def test_what_a_graph_cannot_hold(
    ops: KernelOps, work: Callable[[KernelOps], None], words: str
) -> None:
    work(ops)
    with pytest.raises(CaptureError, match=words):
        ops.launcher.capture(lambda: work(ops))
    work(ops)
