"""What an observed run tells, and that it is otherwise the run it would have been."""

from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.layers.base import Layer
from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.observe import observe
from gpucnn.profiling.spans import Frame, Recorder, Span, by_step
from gpucnn.training.trainer import Trainer
from tests.profiling.runs import Ticks, observed, recorded, training


class Names:
    """Keeps the frames as they begin, with their depth."""

    def __init__(self) -> None:
        self.depth = 0
        self.seen: list[tuple[int, str, str, str, str]] = []

    def enter(self, frame: Frame) -> None:
        self.seen.append((self.depth, frame.kind, frame.name, frame.layer, frame.phase))
        self.depth += 1

    def exit(self, frame: Frame) -> None:
        self.depth -= 1


def test_a_step_from_its_batch_to_its_update() -> None:
    names = Names()
    observed(training(NumpyOps(), steps=1), names)
    conv, body = "model.layers.0", "model.layers.1.residual.body.0"
    backward = [
        (2, "method", "conv2d_backward_weight", conv, "backward"),
        (2, "method", "set_grad", conv, "backward"),
        (2, "method", "conv2d_backward_bias", conv, "backward"),
        (2, "method", "set_grad", conv, "backward"),
        (2, "method", "conv2d_backward_input", conv, "backward"),
    ]
    seen = names.seen
    assert seen[:7] == [
        (0, "step", "step", "", "data"),
        (1, "data", "next batch", "", "data"),
        (1, "method", "asarray", "", "data"),
        (1, "method", "asarray", "", "data"),
        (1, "layer", "sequential", "model", "forward"),
        (2, "layer", "conv2d", conv, "forward"),
        (3, "method", "conv2d_forward", conv, "forward"),
    ]
    assert (5, "method", "conv2d_forward", body, "forward") in seen
    assert (3, "method", "add", "model.layers.1", "forward") in seen
    assert [(1 + depth, *rest) for depth, *rest in backward] == [
        row for row in seen if row[3:] == (conv, "backward") and row[1] == "method"
    ]
    outside = [(row[2], row[4]) for row in seen if row[1] == "method" and not row[3]]
    assert outside == [
        ("asarray", "data"),
        ("asarray", "data"),
        ("softmax_cross_entropy", "loss"),
        ("all_finite", "update"),
        ("sgd_update", "update"),
        ("to_numpy", "update"),
    ]
    assert names.depth == 0


def test_kernels_are_inside_their_methods() -> None:
    names = Names()
    observed(training(gpucnn.get_ops("emulator"), steps=1), names)
    at = next(i for i, row in enumerate(names.seen) if row[2] == "linear_backward")
    kernels = [row for row in names.seen[at + 1 : at + 4] if row[1] == "kernel"]
    assert {row[2] for row in kernels} == {
        "linear_backward_input", "linear_backward_weight", "linear_backward_bias",
    }  # fmt: skip
    assert {(row[0], row[3], row[4]) for row in kernels} == {
        (names.seen[at][0] + 1, "model.layers.4", "backward")
    }


def traces(run: Trainer) -> dict[str, Any]:
    """Everything that observing could have left on the objects."""
    objects = [run.ops, *run.model.walk(), *run.model.parameters()]
    functions = {
        f"{type(o).__name__} {i}": [key for key, value in vars(o).items() if callable(value)]
        for i, o in enumerate(objects)
    }
    return functions | {"batches": run.batches, "callbacks": list(run.callbacks)}


def test_no_trace_is_left() -> None:
    run = training(NumpyOps())
    before = traces(run)
    observed(run, Names())
    assert traces(run) == before


def test_no_trace_is_left_by_an_error() -> None:
    class Broken(Layer):
        def _build(self, input_shape: Any, ops: Ops, seed: int, dtype: str) -> Any:
            return input_shape

        def _forward(self, x: Any, train: bool) -> Any:
            raise ZeroDivisionError("inside of a layer")

        def _backward(self, dy: Any, saved: Any) -> Any: ...

    run, names, recorder = training(NumpyOps(), Broken()), Names(), Recorder(Ticks())
    before = traces(run)
    with pytest.raises(ZeroDivisionError), observe(run, names, recorder):
        run.fit()
    assert traces(run) == before
    assert names.depth == 0


def test_what_was_there_before_comes_back() -> None:
    run = training(NumpyOps())
    own = run.model.forward
    run.model.forward = own  # type: ignore[method-assign]
    observed(run, Names())
    assert vars(run.model)["forward"] is own


def test_an_observed_run_computes_the_same_bits() -> None:
    plain, watched = training(NumpyOps(), epochs=3), training(NumpyOps(), epochs=3)
    plain.fit()
    observed(watched, Names(), Recorder())
    assert watched.progress == plain.progress
    assert np.array_equal(watched.optimizer.values, plain.optimizer.values)


def test_validation_is_not_part_of_any_step() -> None:
    names = Names()
    run = training(NumpyOps(), steps=2)
    run.validation = run.batches
    observed(run, names)
    assert sum(row[1] == "step" for row in names.seen) == 2
    assert sum(row[2:] == ("sequential", "model", "forward") for row in names.seen) == 2


def test_batches_that_nobody_asks_for_any_more_are_closed() -> None:
    class Closing:
        """Batches whose iterator has a thread to end, say."""

        closed = 0

        def __init__(self, batches: Any) -> None:
            self.batches = batches

        def __len__(self) -> int:
            return len(self.batches)

        def epoch(self, epoch: int, start: int = 0) -> Any:
            self.left = self.batches.epoch(epoch, start)
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            return next(self.left)

        def close(self) -> None:
            Closing.closed += 1

    run = training(NumpyOps(), steps=3, max_iterations=2)
    run.batches = Closing(run.batches)
    observed(run, Names())
    assert Closing.closed == 1
    assert isinstance(run.batches, Closing)


def test_an_epoch_may_begin_in_its_middle() -> None:
    names = Names()
    run = training(NumpyOps(), steps=3)
    run.progress.batch, run.progress.epoch_images = 2, 12
    observed(run, names)
    assert sum(row[1] == "step" for row in names.seen) == 1


def test_an_arrays_shape_is_kept_and_not_the_array() -> None:
    spans = recorded(NumpyOps(), steps=1)
    (span,) = [s for s in spans if s.name == "max_pool2d_forward"]
    assert span.call is not None
    assert span.call.args == (((6, 2, 4, 4), 4),)
    assert span.call.result == (((6, 2, 2, 2), 4), ((6, 2, 2, 2), 1))
    assert span.call.options["kernel_size"] == (2, 2)


def test_spans_lie_inside_their_parents() -> None:
    spans = recorded(NumpyOps())
    steps = by_step(spans)
    assert [spans[step[0]].step for step in steps] == [0, 1, 2]
    assert sum(map(len, steps)) == len(spans)
    for span in spans:
        if span.parent < 0:
            assert span.kind == "step"
            continue
        parent: Span = spans[span.parent]
        assert parent.start_ns < span.start_ns < span.end_ns < parent.end_ns
        assert parent.step == span.step


def test_a_step_that_was_not_finished_is_not_kept() -> None:
    recorder = Recorder(Ticks())
    step, other = Frame("step", "step", step=0), Frame("step", "step", step=1)
    recorder.enter(step)
    recorder.enter(Frame("method", "add"))
    recorder.enter(other)
    recorder.exit(other)
    assert [(span.kind, span.step) for span in recorder.spans] == [("step", 1)]
