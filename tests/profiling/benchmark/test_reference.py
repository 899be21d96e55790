"""gpucnn.reference as the oracle: a wrong formula of `cpu` stops its row on `cpu`, too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.benchmark.device import Device
from gpucnn.profiling.benchmark.makers import cases
from gpucnn.profiling.benchmark.reference import Reference
from gpucnn.profiling.benchmark.results import TIMED, WRONG, Row
from gpucnn.profiling.benchmark.run import Bench, Settings, chosen
from tests.profiling.benchmark.made_up import CEILINGS, TABLE

LACKING = {
    "leaky_relu_forward", "leaky_relu_backward", "add", "concat", "split", "max_abs", "all_finite",
    "gather_images", "gather_rows", "shift_images", "flip_images", "cut_out_images",
    "rotate_images", "normalize_images",
    "sgd_update", "adam_update", "rmsprop_update", "ema_update", "clip_by_global_norm",
}  # fmt: skip
METHODS = sorted({case.method for case in cases(TABLE)})
ANSWERED = [method for method in METHODS if method not in LACKING]


def rows(ops: Ops, method: str) -> list[Row]:
    """On `cpu`, where `ops` is the device and what it is checked against; without PyTorch."""
    settings = Settings(repeats=7, only=f"^{method} ")
    bench = Bench(Device(ops), ops, None, CEILINGS, settings)
    return [bench.row(planned) for planned in chosen(TABLE, settings)]


def wrong(method: str, damage: Callable[[Any], Any]) -> NumpyOps:
    """The cpu with another formula, in every precision."""
    right = getattr(NumpyOps, f"_{method}")

    def planted(self: Any, *args: Any) -> Any:
        return damage(right(self, *args))

    return type("Wrong", (NumpyOps,), {f"_{method}": planted})()


def a_thousandth_more(found: Any) -> Any:
    first, *rest = found if isinstance(found, tuple) else (found,)
    first = first * first.dtype.type(1.001)
    return (first, *rest) if rest else first


def test_the_reference_answers_all_that_the_sources_have() -> None:
    assert {method for method in METHODS if not hasattr(Reference, method)} == LACKING


@pytest.mark.parametrize("method", ANSWERED)
def test_a_wrong_formula_stops_its_row(method: str) -> None:
    for right in rows(NumpyOps(), method):
        assert (right.status, right.oracle) == (TIMED, "reference float64, cpu float64"), right.note
        assert right.reference_sizes
    for row in rows(wrong(method, a_thousandth_more), method):
        assert (row.status, row.times) == (WRONG, ())
        assert "reference float64 has" in row.note


def test_what_the_reference_lacks_says_so() -> None:
    for method in sorted(LACKING):
        (row,) = rows(NumpyOps(), method)
        assert (row.status, row.oracle, row.reference_sizes) == (TIMED, "cpu float64", ())


class Turned(NumpyOps):
    def _conv2d_forward(self, shape: Any, x: Any, w: Any, *rest: Any) -> Any:
        """True convolution."""
        turned = np.ascontiguousarray(w[..., ::-1, ::-1])
        return super()._conv2d_forward(shape, x, turned, *rest)


class Averaged(NumpyOps):
    def _conv2d_backward_weight(self, shape: Any, dy: Any, x: Any) -> Any:
        """The mean over the batch, which is the loss's to take."""
        return super()._conv2d_backward_weight(shape, dy, x) / dy.dtype.type(len(dy))


class WithoutPadding(NumpyOps):
    def _avg_pool2d_forward(self, shape: Any, x: Any, include_pad: bool) -> Any:
        return super()._avg_pool2d_forward(shape, x, not include_pad)


class DiagonalAlone(NumpyOps):
    def _softmax_backward(self, dy: Any, y: Any) -> Any:
        return dy * y * (1 - y)


class OfTheTarget(NumpyOps):
    def _softmax_cross_entropy(self, logits: Any, labels: Any, smoothing: Any, mean: Any) -> Any:
        """The label keeps 1 - smoothing, and gets no share of the rest."""
        loss, delta = super()._softmax_cross_entropy(logits, labels, smoothing, mean)
        delta[np.arange(len(labels)), labels] += smoothing / logits.shape[1] / len(labels)
        return loss, delta


class BiasedRunning(NumpyOps):
    def _batch_norm2d_forward(
        self, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, *options: Any
    ) -> Any:
        before, m = var.copy(), x.size // x.shape[1]
        found = super()._batch_norm2d_forward(x, gamma, beta, mean, var, *options)
        var[...] = 0.9 * before + (var - 0.9 * before) * (m - 1) / m
        return found


FORMULAS: dict[str, type[NumpyOps]] = {
    "conv2d_forward": Turned,
    "conv2d_backward_weight": Averaged,
    "avg_pool2d_forward": WithoutPadding,
    "softmax_backward": DiagonalAlone,
    "softmax_cross_entropy": OfTheTarget,
    "batch_norm2d_forward": BiasedRunning,
}


@pytest.mark.parametrize("method", FORMULAS)
def test_a_mistake_of_old_stops_its_row(method: str) -> None:
    row = rows(FORMULAS[method](), method)[0]
    assert row.status == WRONG
    assert "reference float64 has" in row.note


def test_a_shape_without_loops_is_checked_against_the_cpu_alone() -> None:
    settings = Settings(repeats=7, only="conv2d_forward")
    table = {"convolutions": {"wide": (2, 2, 64, 64, 2, 31, 31, 1, 15, 1, 1)}}
    bench = Bench(Device(NumpyOps()), NumpyOps(), None, CEILINGS, settings)
    (row,) = [bench.row(planned) for planned in chosen(table, settings)]
    assert (row.status, row.oracle) == (TIMED, "cpu float64")
