"""Zeros that a captured step asks for are zeros at every launch of its graph."""

import numpy as np

from gpucnn.ops import get_ops
from gpucnn.runtime.arena import Arena


def test_zeros_are_cleared_at_every_launch() -> None:
    ops = get_ops("emulator")
    arena = Arena(ops)
    x, out = ops.asarray(np.ones(4, "float32")), ops.zeros((4,), "float32")

    def work() -> None:
        total = ops.zeros((4,), "float32")
        ops.memory.copy(total, ops.add(total, x))
        ops.memory.copy(out, total)  # and leaves ones where the zeros were

    for _ in range(2):
        with arena.step():
            work()
    with arena.step():
        graph = ops.launcher.capture(work)
    assert arena.stable
    for _ in range(3):
        ops.memory.write(out, np.zeros(4, "float32"))
        graph.launch()
        assert out.tolist() == [1, 1, 1, 1]
