"""The cases cover the contract, PyTorch's calls do the same work, and wrong results are found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.benchmark.cases import Case, results
from gpucnn.profiling.benchmark.check import WrongResultError, check, compare
from gpucnn.profiling.benchmark.makers import cases
from gpucnn.profiling.benchmark.torch_calls import comparable, torch_call, torch_drawer
from gpucnn.profiling.benchmark.works import work_of
from tests.profiling.benchmark.made_up import TABLE

CASES = list(cases(TABLE))
CPU = NumpyOps()


def test_every_method_that_computes_has_a_case() -> None:
    plain = {"asarray", "to_numpy", "empty", "zeros", "synchronize", "is_array", "not_an_array"}
    plain |= {"from_dlpack", "dlpack_device", "arena", "memory"}
    names = {name for name in dir(Ops) if not name.startswith("_") and name != "name"}
    assert {case.method for case in CASES} == names - plain


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_cpu_is_right_about_all_of_them(case: Case) -> None:
    """In float32 beside float64, and in float64 to the last digits beside PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    checked = check(case, CPU, CPU, torch)
    assert checked.error < 1e-5
    call = torch_call(torch, case, torch_drawer(torch, "fp32", "cpu", "float64"), "fp32")
    if case.method == "drop_block2d_forward":
        assert call is None
    elif comparable(case.method):
        assert checked.oracle == "cpu float64, PyTorch float64"
        assert call is not None
        found = call()
        ours = results(case, CPU, "float64")
        arrays = found if isinstance(found, (tuple, list)) else [found]
        for a, b in zip(ours, arrays, strict=False):
            # PyTorch clips by norm + 1e-6.
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-7, atol=1e-10)


def planted(method: str, damage: Callable[[Any], Any]) -> NumpyOps:
    """The cpu with one method's result damaged."""
    ops = NumpyOps()
    right = getattr(ops, method)

    def wrong(*args: Any, **options: Any) -> Any:
        return damage(right(*args, **options))

    setattr(ops, method, wrong)
    return ops


def one_element(a: Any) -> Any:
    a.reshape(-1)[-1] *= 1.001
    return a


FAULTS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a thousandth off": ("conv2d_forward", one_element, "at (1, 5, 8, 6) is"),
    "a NaN": ("relu_forward", lambda y: np.where(y == y.max(), np.nan, y), "is nan"),
    "another argmax": ("max_pool2d_forward", lambda found: (found[0], found[1] ^ 1), "result 1"),
    "half of it": ("linear_forward", lambda y: y[:, :8].copy(), "has shape (5, 8)"),
    "too little": ("linear_backward", lambda found: found[:2], "2 results"),
    "no bias": ("conv2d_backward_bias", lambda db: 0 * db, "rounding explains"),
    "not finite": ("all_finite", np.logical_not, "result 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_a_wrong_result_is_found(kind: str) -> None:
    method, damage, words = FAULTS[kind]
    case = next(case for case in CASES if case.method == method)
    with pytest.raises(WrongResultError) as error:
        check(case, planted(method, damage), CPU)
    assert method in str(error.value)
    assert words in str(error.value)
    check(case, CPU, CPU)


def test_where_the_reference_has_nothing_another_formula_is_found_by_pytorch() -> None:
    """Wrong in both precisions: only another library knows."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    case = next(case for case in CASES if case.method == "leaky_relu_forward")
    wrong = planted("leaky_relu_forward", lambda y: y * np.float32(1.001))
    check(case, wrong, wrong, tiny=case)
    with pytest.raises(WrongResultError, match="PyTorch float64 has"):
        check(case, wrong, wrong, torch, case)


def test_an_update_in_place_is_compared_too() -> None:
    case = next(case for case in CASES if case.method == "sgd_update")
    idle = NumpyOps()
    idle.sgd_update = lambda *args, **options: None  # type: ignore[method-assign]
    with pytest.raises(WrongResultError, match="sgd_update"):
        check(case, idle, CPU)


def test_work_is_that_of_a_profile() -> None:
    case = next(case for case in CASES if str(case) == "conv2d_forward 3x3")
    # 2 images, 6 filters, 9 · 7 outputs of 5 · 9 products each.
    assert work_of(case, CPU).flops == 2 * (2 * 6 * 9 * 7) * (5 * 9)
    assert compare(case, [np.float32(1)], [np.float64(1)], 1, "itself") == 0
