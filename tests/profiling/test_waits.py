"""A synchronisation hidden in a layer is found and named, on a device with a queue."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from gpucnn.layers.base import Layer
from gpucnn.ops.base import Ops
from gpucnn.profiling.waits import find_waits
from tests.profiling.runs import queued, recorded
from tests.profiling.timeline import KERNEL_NS, QueueOps


class Identity(Layer):
    """Hands on what it gets; what it does besides is in `forward_too` and `backward_too`."""

    def _build(self, input_shape: Any, ops: Ops, seed: int, dtype: str) -> Any:
        assert isinstance(ops, QueueOps)
        self.device = ops
        return input_shape

    def _forward(self, x: Any, train: bool) -> tuple[Any, Any]:
        y = self.ops.add(x, x)
        self.forward_too(y)
        return y, None

    def _backward(self, dy: Any, saved: Any) -> Any:
        dx = self.ops.add(dy, dy)
        self.backward_too(dx)
        return dx

    def forward_too(self, y: Any) -> None:
        """Nothing."""

    def backward_too(self, dx: Any) -> None:
        """Nothing."""


class ReadsAResult(Identity):
    def forward_too(self, y: Any) -> None:
        self.ops.to_numpy(self.ops.max_abs(y))


class Synchronizes(Identity):
    def backward_too(self, dx: Any) -> None:
        self.ops.synchronize()


class GoesAroundTheOps(Identity):
    """As `cupy_array.get()` would."""

    def forward_too(self, y: Any) -> None:
        self.device.timeline.synchronize()


class ReducesByItself(Identity):
    """As `float(cupy_array.sum())` would: nobody saw the kernel of the sum being launched."""

    def forward_too(self, y: Any) -> None:
        self.device.timeline.launch(KERNEL_NS)
        self.device.timeline.synchronize()


class ThinksForAWhile(Identity):
    """Computes on the host, longer in some steps than in others; the device finishes meanwhile."""

    lengths = itertools.cycle([30 * KERNEL_NS, 40 * KERNEL_NS, 3 * KERNEL_NS])

    def forward_too(self, y: Any) -> None:
        self.device.timeline.host += next(self.lengths)


def test_a_step_ends_when_its_device_has_finished() -> None:
    for span in queued():
        if span.kind == "step":
            assert span.device is not None
            assert span.device[1] <= span.end_ns


def hidden(*layers: Layer, steps: int = 3) -> list[tuple[str, str, str]]:
    waits = find_waits(queued(*layers, steps=steps))
    return [(wait.layer, wait.phase, wait.where) for wait in waits if wait.hidden]


PLACE = "model.layers.3"


@pytest.mark.parametrize(
    ("layer", "phase", "where"),
    [
        (ReadsAResult, "forward", "to_numpy"),
        (Synchronizes, "backward", "synchronize"),
        (GoesAroundTheOps, "forward", "between methods"),
        (ReducesByItself, "forward", "between methods"),
    ],
)
def test_a_hidden_synchronisation_is_found_and_named(
    layer: type[Layer], phase: str, where: str
) -> None:
    assert hidden(layer()) == [(PLACE, phase, where)]


@pytest.mark.parametrize("layer", [Identity, ThinksForAWhile])
def test_what_does_not_wait_is_not_accused(layer: type[Layer]) -> None:
    assert hidden(layer()) == []


def test_the_losses_that_a_trainer_reads_are_no_secret() -> None:
    waits = find_waits(queued())
    assert {(w.layer, w.phase, w.where) for w in waits} == {("", "update", "to_numpy")}
    assert not any(wait.hidden for wait in waits)


def test_how_long_and_how_often() -> None:
    (wait,) = [w for w in find_waits(queued(GoesAroundTheOps(), steps=5)) if w.hidden]
    assert wait.steps == 5
    # Six kernels were launched and none was done: conv2d, conv2d, relu, add, pool, add.
    assert wait.ms == pytest.approx(6 * KERNEL_NS / 1e6, rel=0.1)


def test_one_step_of_many_may_be_a_coincidence() -> None:
    spans = queued(GoesAroundTheOps(), steps=1)
    quiet = queued(Identity(), steps=2)
    moved = [replace(s, parent=s.parent + len(spans) if s.parent >= 0 else -1) for s in quiet]
    assert [w for w in find_waits(spans) if w.hidden]
    assert [w for w in find_waits([*spans, *moved]) if w.hidden] == []


def test_a_host_that_computes_itself_never_waits() -> None:
    from gpucnn.ops.numpy_ops import NumpyOps

    assert find_waits(recorded(NumpyOps())) == []
