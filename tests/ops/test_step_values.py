"""What changes from step to step, read from device memory: the same bits as from arguments."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import DeviceError, ShapeError
from gpucnn.ops.base import Ops
from gpucnn.ops.contract.rates import adam_rates, ema_rates, sgd_rates
from tests.ops.harness import normal

SIZE = 1031
MOMENTUM: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.01}
UPDATES: dict[str, tuple[int, dict[str, Any], dict[str, Any], Any]] = {
    "sgd_update": (3, {"lr": 0.07}, MOMENTUM, sgd_rates(0.07)),
    "adam_update": (
        4,
        {"lr": 0.013, "step": 7},
        {"weight_decay": 0.01, "decoupled": True},
        adam_rates(0.013, 7, 0.9, 0.999),
    ),
    "rmsprop_update": (4, {"lr": 0.013}, MOMENTUM, sgd_rates(0.013)),
    "ema_update": (2, {"decay": 0.999}, {}, ema_rates(0.999)),
}


def arenas(ops: Ops, method: str, dtype: str) -> list[Any]:
    return [ops.asarray(abs(normal(SIZE, dtype, seed))) for seed in range(UPDATES[method][0])]


def in_memory(ops: Ops, method: str, dtype: str) -> dict[str, Any]:
    """The options that change from step to step, as an array; Adam's step is then not used."""
    _, changing, _, rates = UPDATES[method]
    name = next(iter(changing))
    return {**changing, name: ops.asarray(np.array(rates, dtype))} | (
        {"step": 1} if "step" in changing else {}
    )


def check_rates(ops: Ops, method: str, dtype: str) -> None:
    """Both ways to the same bits, and not where they began."""
    _, changing, fixed, _ = UPDATES[method]
    one, other, start = (arenas(ops, method, dtype) for _ in range(3))
    getattr(ops, method)(*one, **changing, **fixed)
    getattr(ops, method)(*other, **in_memory(ops, method, dtype), **fixed)
    for i, (a, b, c) in enumerate(zip(one, other, start, strict=True)):
        np.testing.assert_array_equal(ops.to_numpy(a), ops.to_numpy(b))
        assert i == 1 or not np.array_equal(ops.to_numpy(a), ops.to_numpy(c))


@pytest.mark.parametrize("method", UPDATES)
def test_rates_in_device_memory(ops: Ops, dtype: str, method: str) -> None:
    check_rates(ops, method, dtype)


def check_only_if(ops: Ops, method: str, dtype: str) -> None:
    """Left out where it is false, done where it is true."""
    _, changing, fixed, _ = UPDATES[method]
    plain, done, left_out, start = (arenas(ops, method, dtype) for _ in range(4))
    getattr(ops, method)(*plain, **changing, **fixed)
    for flag, given, expected in ((True, done, plain), (False, left_out, start)):
        only_if = ops.asarray(np.array(flag))
        getattr(ops, method)(*given, **changing, **fixed, only_if=only_if)
        for a, b in zip(given, expected, strict=True):
            np.testing.assert_array_equal(ops.to_numpy(a), ops.to_numpy(b))


@pytest.mark.parametrize("method", UPDATES)
def test_an_update_that_depends_on_a_flag(ops: Ops, dtype: str, method: str) -> None:
    check_only_if(ops, method, dtype)


@pytest.mark.parametrize("method", UPDATES)
def test_rates_that_do_not_fit(ops: Ops, method: str) -> None:
    _, changing, fixed, rates = UPDATES[method]
    name = next(iter(changing))
    for array, error in (
        (np.zeros(len(rates) + 1, np.float32), ShapeError),
        (np.zeros(len(rates), np.float64), DeviceError),
    ):
        options = {**changing, **fixed, name: ops.asarray(array)}
        given = arenas(ops, method, "float32")
        with pytest.raises(error, match=name):
            getattr(ops, method)(*given, **options)
    options = {**changing, **fixed, "only_if": ops.asarray(np.zeros((), np.float32))}
    with pytest.raises(DeviceError, match="only_if"):
        getattr(ops, method)(*given, **options)


DROPOUTS = [
    ("dropout_forward", {}),
    ("dropout2d_forward", {}),
    ("drop_block2d_forward", {"block_size": 2}),
]


def check_counter(ops: Ops, method: str, options: dict[str, Any]) -> None:
    """The masks of the step that memory holds, up to the counter's last bit."""
    x = ops.asarray(normal((3, 5, 6, 7), "float32"))
    draw: dict[str, Any] = {"rate": 0.4, "seed": 2**63 + 5, "layer": 3, **options}
    for step in (0, 17, 2**32 - 1):
        counter = ops.asarray(np.array(step, np.uint32))
        expected = getattr(ops, method)(x, step=step, **draw)
        actual = getattr(ops, method)(x, step=counter, **draw)
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(ops.to_numpy(a), ops.to_numpy(b))


@pytest.mark.parametrize(("method", "options"), DROPOUTS)
def test_a_counter_in_device_memory(ops: Ops, method: str, options: dict[str, Any]) -> None:
    check_counter(ops, method, options)


@pytest.mark.parametrize(("method", "options"), DROPOUTS)
def test_a_counter_that_does_not_fit(ops: Ops, method: str, options: dict[str, Any]) -> None:
    x = ops.asarray(normal((1, 2, 6, 7), "float32"))
    for counter, error in ((np.zeros(1, np.uint32), ShapeError), (np.zeros(()), DeviceError)):
        with pytest.raises(error, match="step"):
            getattr(ops, method)(x, rate=0.5, seed=1, layer=0, step=ops.asarray(counter), **options)


def check_also(ops: Ops, dtype: str) -> None:
    """One number more decides, where the array is finite and where it is not."""
    for number, value, finite in (
        (1.0, 2.0, True), (1.0, np.nan, False), (1.0, -np.inf, False), (np.nan, 2.0, False),
    ):  # fmt: skip
        a, also = np.full(7, number, dtype), np.array(value, dtype)
        answer = ops.to_numpy(ops.all_finite(ops.asarray(a), also=ops.asarray(also)))
        assert answer.shape == ()
        assert bool(answer) is finite, (number, value)


def test_one_number_more_that_must_be_finite(ops: Ops, dtype: str) -> None:
    check_also(ops, dtype)
    a = ops.asarray(np.zeros(3, dtype))
    with pytest.raises(ShapeError, match="also"):
        ops.all_finite(a, also=a)


def check_before(ops: Ops, dtype: str) -> None:
    """What was not finite stays so, whatever comes; what was is decided anew."""
    for number, before, finite in (
        (1.0, True, True), (1.0, False, False), (np.nan, True, False), (np.inf, False, False),
    ):  # fmt: skip
        a, earlier = ops.asarray(np.full(7, number, dtype)), ops.asarray(np.array(before))
        assert bool(ops.to_numpy(ops.all_finite(a, before=earlier))) is finite, (number, before)
        also = ops.asarray(np.array(1, dtype))
        assert bool(ops.to_numpy(ops.all_finite(a, also=also, before=earlier))) is finite


def test_an_earlier_answer_that_stays(ops: Ops, dtype: str) -> None:
    check_before(ops, dtype)
    a = ops.asarray(np.zeros(3, dtype))
    with pytest.raises(DeviceError, match="before"):
        ops.all_finite(a, before=ops.asarray(np.zeros((), dtype)))
