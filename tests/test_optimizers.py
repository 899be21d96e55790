"""Optimizers: the arenas, lr_scale, frozen parameters."""

from typing import Any

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.errors import ConfigError, DeviceError, GpucnnError
from gpucnn.layers.base import Parameter
from gpucnn.ops.base import Ops
from gpucnn.optimizers import OPTIMIZERS, SGD, Adam, AdamW, RMSprop
from tests.oracles.tolerance import bound

rng = np.random.default_rng
SHAPES = [(3, 4), (64,), (5, 2, 2, 2), (1,)]
OFFSETS, SIZE = [0, 64, 128, 192], 256


def parameters(ops: Ops, dtype: str = "float64") -> list[Parameter]:
    return [
        Parameter(f"p{i}", ops.asarray(rng(i).standard_normal(shape).astype(dtype)))
        for i, shape in enumerate(SHAPES)
    ]


def gradients(step: int) -> list[np.ndarray]:
    return [rng(100 + step * 10 + i).standard_normal(shape) for i, shape in enumerate(SHAPES)]


def values(ops: Ops, params: list[Parameter]) -> list[np.ndarray]:
    return [ops.to_numpy(parameter.value).copy() for parameter in params]


OPTIONS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"weight_decay": 0.1}, "SGD", {"weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    (
        "sgd",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        "SGD",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    ("adam", {}, "Adam", {}),
    (
        "adam",
        {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
        "Adam",
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    ("adamw", {}, "AdamW", {}),
    ("adamw", {"weight_decay": 0.3}, "AdamW", {"weight_decay": 0.3}),
    ("rmsprop", {}, "RMSprop", {}),
    (
        "rmsprop",
        {"alpha": 0.9, "eps": 1e-4, "momentum": 0.5, "weight_decay": 0.1},
        "RMSprop",
        {"alpha": 0.9, "eps": 1e-4, "momentum": 0.5, "weight_decay": 0.1},
    ),
]
"""Kind and options, here and in PyTorch."""


def test_sgd_is_minus_lr_times_gradient(ops: Ops) -> None:
    params = parameters(ops)
    before = values(ops, params)
    optimizer = SGD(lr=0.5)
    optimizer.bind(params, ops)
    for parameter, grad in zip(params, gradients(0), strict=True):
        parameter.set_grad(ops.asarray(grad))
    optimizer.step()
    for value, old, grad in zip(values(ops, params), before, gradients(0), strict=True):
        np.testing.assert_array_equal(value, old - 0.5 * grad)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_arenas(ops: Ops, kind: str, dtype: str) -> None:
    params = parameters(ops, dtype)
    before = values(ops, params)
    params[1].set_grad(ops.asarray(np.full(64, 3, dtype)))
    optimizer = OPTIMIZERS[kind](lr=0.1)
    optimizer.bind(params, ops)
    assert optimizer.values.shape == optimizer.grads.shape == (SIZE,)
    assert optimizer.values.dtype == optimizer.grads.dtype == dtype
    assert optimizer.lr_scale is None
    for parameter, offset, old in zip(params, OFFSETS, before, strict=True):
        segment = slice(offset, offset + old.size)
        np.testing.assert_array_equal(ops.to_numpy(optimizer.values[segment]), old.ravel())
        # Views: what one writes the other reads.
        parameter.value[...] = 2
        parameter.set_grad(ops.asarray(np.full(old.shape, 5, dtype)))
        assert (ops.to_numpy(optimizer.values[segment]) == 2).all()
        assert (ops.to_numpy(optimizer.grads[segment]) == 5).all()
        assert parameter.value.flags.c_contiguous
    for _ in range(3):
        optimizer.step()
    used = np.zeros(SIZE, bool)
    for offset, old in zip(OFFSETS, before, strict=True):
        used[offset : offset + old.size] = True
    for arena in [optimizer.values, optimizer.grads, *optimizer.state().values()]:
        assert arena.shape == (SIZE,)
        assert not ops.to_numpy(arena)[~used].any()
        assert ops.to_numpy(arena)[used].all()


def test_bind_keeps_a_gradient_that_is_there(ops: Ops) -> None:
    params = parameters(ops)
    params[0].set_grad(ops.asarray(np.full(SHAPES[0], 3.0)))
    optimizer = SGD(lr=1)
    optimizer.bind(params, ops)
    grads = ops.to_numpy(optimizer.grads)
    assert (grads[:12] == 3).all()
    assert not grads[12:].any()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_lr_scale_multiplies_the_rate(ops: Ops, kind: str) -> None:
    scales = [1.0, 0.0, 3.0, 0.5]
    scaled, alone = parameters(ops), [parameters(ops) for _ in scales]
    for parameter, scale in zip(scaled, scales, strict=True):
        parameter.lr_scale = scale
    ours = OPTIMIZERS[kind](lr=0.05)
    ours.bind(scaled, ops)
    assert ops.to_numpy(ours.lr_scale)[192] == 0.5
    others = [OPTIMIZERS[kind](lr=0.05) for _ in scales]
    for other, params in zip(others, alone, strict=True):
        other.bind(params, ops)
    for step in range(3):
        for params in [scaled, *alone]:
            for parameter, grad in zip(params, gradients(step), strict=True):
                parameter.set_grad(ops.asarray(grad))
        ours.step()
        for other, scale in zip(others, scales, strict=True):
            other.step(0.05 * scale)
    for i, params in enumerate(alone):
        got, expected = ops.to_numpy(scaled[i].value), ops.to_numpy(params[i].value)
        assert abs(got - expected).max() <= bound(16 * 3, 8, "float64")


def test_frozen_parameters_stay_out(ops: Ops) -> None:
    params = parameters(ops)
    params[1].frozen = True
    frozen = params[1].value
    before = ops.to_numpy(frozen).copy()
    optimizer = SGD(lr=1, weight_decay=0.5)
    optimizer.bind(params, ops)
    assert optimizer.values.shape == (192,)
    assert optimizer.parameters == [params[0], params[2], params[3]]
    optimizer.step()
    assert params[1].value is frozen
    np.testing.assert_array_equal(ops.to_numpy(frozen), before)


def test_a_frozen_layer_of_a_model_stays(ops: Ops) -> None:
    model = gl.Sequential([gl.Linear(3, frozen=True), gl.Tanh(), gl.Linear(2)])
    model.build((4,), ops, 0)
    before = {key: ops.to_numpy(value).copy() for key, value in model.state().items()}
    optimizer = Adam(lr=0.1)
    optimizer.bind(model.parameters(), ops)
    x = ops.asarray(np.ones((2, 4), "float32"))
    model.backward(model.forward(x, train=True))
    optimizer.step()
    changed = {k for k, v in model.state().items() if (ops.to_numpy(v) != before[k]).any()}
    assert changed == {"2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (SGD(lr=1), []),
        (SGD(lr=1, momentum=0.1), ["velocity"]),
        (Adam(lr=1), ["first", "second"]),
        (AdamW(lr=1), ["first", "second"]),
        (RMSprop(lr=1), ["second"]),
        (RMSprop(lr=1, momentum=0.1), ["second", "velocity"]),
    ],
)
def test_state_names(ops: Ops, optimizer: Any, names: list[str]) -> None:
    optimizer.bind(parameters(ops), ops)
    assert list(optimizer.state()) == names


@pytest.mark.parametrize(("kind", "options"), [row[:2] for row in OPTIONS])
def test_a_loaded_state_continues_bit_for_bit(ops: Ops, kind: str, options: dict) -> None:
    def steps(optimizer: Any, params: list[Parameter], which: range) -> None:
        for step in which:
            for parameter, grad in zip(params, gradients(step), strict=True):
                parameter.set_grad(ops.asarray(grad))
            optimizer.step()

    whole, params = OPTIMIZERS[kind](lr=0.1, **options), parameters(ops)
    whole.bind(params, ops)
    steps(whole, params, range(3))
    kept = ops.to_numpy(whole.values).copy()
    state = {key: ops.to_numpy(value).copy() for key, value in whole.state().items()}
    steps(whole, params, range(3, 6))

    resumed, others = OPTIMIZERS[kind](lr=0.1, **options), parameters(ops)
    resumed.bind(others, ops)
    resumed.values[...] = ops.asarray(kept)
    for key, value in state.items():
        resumed.state()[key][...] = ops.asarray(value)
    resumed.iterations = 3
    steps(resumed, others, range(3, 6))
    np.testing.assert_array_equal(ops.to_numpy(resumed.values), ops.to_numpy(whole.values))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("sgd", {"lr": -0.1}, "lr must be >= 0"),
        ("sgd", {"lr": "fast"}, "lr must be a number, got 'fast'"),
        ("sgd", {"lr": float("inf")}, "lr must be"),
        ("sgd", {"lr": 1, "momentum": 1}, "momentum must be >= 0 and < 1"),
        ("sgd", {"lr": 1, "nesterov": True}, "nesterov needs a momentum above 0"),
        ("sgd", {"lr": 1, "momentum": 0.5, "nesterov": 1}, "nesterov must be true or false"),
        ("sgd", {"lr": 1, "weight_decay": -1}, "weight_decay must be >= 0"),
        ("adam", {"lr": 1, "beta1": 1.0}, "beta1 must be >= 0 and < 1"),
        ("adamw", {"lr": 1, "beta2": -0.1}, "beta2 must be >= 0"),
        ("adam", {"lr": 1, "eps": float("nan")}, "eps must be"),
        ("rmsprop", {"lr": 1, "alpha": 2}, "alpha must be >= 0 and <= 1"),
    ],
)
def test_options_are_checked(kind: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OPTIMIZERS[kind](**options)


def test_what_bind_refuses_moves_nothing(ops: Ops) -> None:
    params = parameters(ops)
    kept = [parameter.value for parameter in params]
    with pytest.raises(ConfigError, match="stands twice"):
        SGD(lr=1).bind([*params, params[0]], ops)
    with pytest.raises(ConfigError, match="no parameters to train: the model has none"):
        SGD(lr=1).bind([], ops)
    mixed = Parameter("single", ops.asarray(np.ones(3, "float32")))
    with pytest.raises(DeviceError, match=r"one dtype, got float64 and float32 \(single\)"):
        SGD(lr=1).bind([*params, mixed], ops)
    with pytest.raises(DeviceError, match="must be an array of device"):
        SGD(lr=1).bind([*params, Parameter("list", _Listed())], ops)
    for parameter, value in zip(params, kept, strict=True):
        assert parameter.value is value
        parameter.frozen = True
    with pytest.raises(ConfigError, match="all 4 are frozen"):
        SGD(lr=1).bind(params, ops)


class _Listed(list):
    """No device array."""

    shape = (0,)


def test_step_needs_bind() -> None:
    with pytest.raises(GpucnnError, match="call bind"):
        SGD(lr=1).step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_average_is_taken_in_the_same_pass(ops: Ops, name: str) -> None:
    """The bits of a step and of ema_update after it."""
    found = []
    for together in (True, False):
        params, optimizer = parameters(ops), OPTIMIZERS[name](lr=0.1)
        optimizer.bind(params, ops)
        average = ops.asarray(ops.to_numpy(optimizer.values).copy())
        for step in range(3):
            for parameter, gradient in zip(params, gradients(step), strict=True):
                parameter.set_grad(ops.asarray(gradient))
            if together:
                optimizer.step(average=average, decay=0.75)
            else:
                optimizer.step()
                ops.ema_update(average, optimizer.values, decay=0.75)
        found.append((ops.to_numpy(optimizer.values), ops.to_numpy(average)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(*found[0])
