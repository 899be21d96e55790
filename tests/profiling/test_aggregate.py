"""Times, shares, rates and gaps, from spans written by hand and from runs in made-up time."""

from dataclasses import replace
from typing import Any

import pytest

import gpucnn
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.aggregate import build_profile
from gpucnn.profiling.profile import Ceilings, Profile
from gpucnn.profiling.sizes import Shaped
from gpucnn.profiling.spans import Call, Launch, Span
from gpucnn.runtime.launch import Kernel
from tests.profiling.runs import queued, recorded

X = Shaped((1000, 250), 4)
RELU = Call((X,), {}, X)
CEILINGS = Ceilings(copy_gb_s=10.0, gemm_tflops=0.1, device="a device", source="a test")
MS = 1_000_000


def step(*methods: tuple[str, str, int, int], end: int, at: int = 0, first: int = 0) -> list[Span]:
    """A step of `end` ms with relu_forward in these (layer, phase, from ms, to ms)."""
    spans = [Span("step", "step", "", "data", 0, at * MS, (at + end) * MS)]
    for layer, phase, start, stop in methods:
        begin, done = (at + start) * MS, (at + stop) * MS
        place = first + len(spans)
        spans.append(Span("layer", "relu", layer, phase, 0, begin - MS, done + MS, first))
        spans.append(Span("method", "relu_forward", layer, phase, 0, begin, done, place, call=RELU))
    return spans


def profile(spans: list[Span], **options: Any) -> Profile:
    return build_profile(spans, {}, **options)


def test_a_step_by_hand() -> None:
    spans = step(("a", "forward", 2, 4), ("b", "forward", 6, 10), end=20)
    found = profile(spans, ceilings=CEILINGS)
    assert found.step_ms == (20.0,)
    assert (found.busy_ms, found.gap_ms, found.accounted) == (6.0, 14.0, 1.0)
    a, b = found.layers
    assert (a.layer, a.phase, a.calls, a.ms, a.share, a.gap_ms) == ("a", "forward", 1, 2, 0.1, 2)
    assert (b.ms, b.gap_ms, b.share) == (4.0, 2.0, 0.2)
    assert {(g.layer, g.phase, g.where): g.ms for g in found.gaps} == {
        ("", "", "outside of the layers"): 10.0,
        ("a", "forward", "between methods"): 2.0,
        ("b", "forward", "between methods"): 2.0,
    }
    (relu,) = found.methods
    # 2 calls of 250,000 elements in 6 ms: 0.5 MFLOP and 4 MB.
    assert (relu.calls, relu.ms, relu.flops, relu.bytes) == (2, 6.0, 500_000, 4_000_000)
    assert relu.tflops == pytest.approx(500_000 / 6e-3 / 1e12)
    assert relu.gb_s == pytest.approx(4_000_000 / 6e-3 / 1e9)
    assert relu.intensity == 0.125
    assert relu.memory_percent == pytest.approx(100 * 4_000_000 / 6e-3 / 1e9 / 10)
    assert relu.compute_percent == pytest.approx(100 * 500_000 / 6e-3 / 1e12 / 0.1)
    assert (relu.limit, found.kernels) == ("memory", ())


def test_median_and_quartiles_over_the_steps() -> None:
    spans: list[Span] = []
    for i, length in enumerate((1, 2, 3, 4, 9)):
        method = ("a", "forward", 2, 2 + length)
        spans += step(method, end=20, at=100 * i, first=len(spans))
    (row,) = profile(spans).layers
    assert (row.low_ms, row.ms, row.high_ms, row.calls) == (2.0, 3.0, 4.0, 1)


def test_a_layer_that_ran_in_one_step_of_three_has_the_median_of_three() -> None:
    spans = step(("a", "forward", 2, 4), end=20)
    for i in (1, 2):
        spans += step(end=20, at=100 * i, first=len(spans))
    (row,) = profile(spans).layers
    assert (row.ms, row.calls) == (0.0, pytest.approx(1 / 3))


def kernel(
    name: str, method: int, start: int, stop: int, device: tuple[int, int] | None = None
) -> Span:
    launch = Launch(Kernel(name, name, (("SCALAR", "float"),)), (1, 1, 1), (64, 1, 1), 0)
    times = (device[0] * MS, device[1] * MS) if device else None
    return Span(
        "kernel", name, "a", "forward", 0, start * MS, stop * MS, method, times, launch=launch
    )


def test_the_device_times_count_where_there_is_a_device() -> None:
    spans = step(("a", "forward", 2, 5), end=20)
    spans[0] = replace(spans[0], device=(0, 20 * MS))
    spans += [kernel("one", 2, 2, 3, (4, 9)), kernel("two", 2, 3, 4, (9, 12))]
    found = profile(spans, ceilings=CEILINGS, resources=lambda launch: {"registers": 32})
    assert (found.busy_ms, found.gap_ms, found.accounted) == (8.0, 12.0, 1.0)
    (method,) = found.methods
    assert (method.ms, method.calls, method.flops) == (8.0, 1, 250_000)
    one, two = found.kernels
    assert [(k.kernel, k.ms, k.registers, k.block) for k in (one, two)] == [
        ("one", 5.0, 32, (64, 1, 1)),
        ("two", 3.0, 32, (64, 1, 1)),
    ]
    assert one.flops is None, "what each of two kernels does of a method is not known"


def test_a_single_kernel_does_all_of_its_method() -> None:
    spans = [*step(("a", "forward", 2, 5), end=20), kernel("relu_forward", 2, 3, 4)]
    found = profile(spans, ceilings=CEILINGS)
    (row,) = found.kernels
    assert (row.ms, row.flops, row.bytes, row.variant) == (1.0, 250_000, 2_000_000, "float")
    # The rest of the method is the host's.
    assert ("a", "forward", "relu_forward") in [(g.layer, g.phase, g.where) for g in found.gaps]


def test_kernels_that_overlap_are_not_accounted_as_one_after_the_other() -> None:
    spans = step(("a", "forward", 2, 5), end=20)
    spans[0] = replace(spans[0], device=(0, 20 * MS))
    spans += [kernel("one", 2, 2, 3, (4, 9)), kernel("two", 2, 3, 4, (6, 8))]
    found = profile(spans)
    assert (found.busy_ms, found.gap_ms) == (7.0, 15.0)
    assert found.accounted == pytest.approx(7 / 5)


def test_a_wait_for_data_is_a_gap_of_its_own() -> None:
    spans = step(("a", "forward", 12, 14), end=20)
    spans.insert(1, Span("data", "next batch", "", "data", 0, MS, 10 * MS, 0))
    spans[3] = replace(spans[3], parent=2)
    found = profile(spans)
    assert found.data_wait_ms == 9.0
    assert found.gap_ms == 18.0
    assert found.gaps[0].where == "data wait"


@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_methods_and_gaps_make_up_the_step(device: str) -> None:
    found = profile(recorded(gpucnn.get_ops(device)))
    total = sum(row.ms for row in found.methods)
    step_ms = sorted(found.step_ms)[1]
    assert total == pytest.approx(step_ms - found.gap_ms, rel=0.05)
    assert found.accounted == pytest.approx(1, abs=0.05)
    assert sum(row.ms for row in found.layers) == pytest.approx(total)
    assert sum(row.ms for row in found.calls) == pytest.approx(total)
    assert sum(gap.ms for gap in found.gaps) == pytest.approx(found.gap_ms)
    assert bool(found.kernels) == (device == "emulator")


def test_kernels_and_gaps_of_a_device_make_up_the_step() -> None:
    found = profile(queued())
    assert found.accounted == pytest.approx(1, abs=0.05)
    assert found.busy_ms + found.gap_ms == pytest.approx(sorted(found.step_ms)[1], rel=0.05)


def test_rows_are_named_as_the_contract_names_them() -> None:
    found = profile(recorded(NumpyOps()))
    assert [(row.layer, row.phase) for row in found.layers][:3] == [
        ("", "data"),
        ("model.layers.0", "forward"),
        ("model.layers.1.residual.body.0", "forward"),
    ]
    places = [(row.layer, row.phase, row.method) for row in found.calls]
    assert ("model.layers.0", "backward", "conv2d_backward_weight") in places
    assert ("", "update", "sgd_update") in places
    assert len(set(places)) == len(places)
    assert [row.ms for row in found.methods] == sorted((r.ms for r in found.methods), reverse=True)
