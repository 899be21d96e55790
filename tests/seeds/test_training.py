"""Chains of layers and training: the sources' algorithm, from its chain rule to its stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.build import build_model
from gpucnn.errors import ConfigError
from gpucnn.layers import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Relu,
    Sequential,
    Sigmoid,
)
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.ops import get_ops
from gpucnn.ops.base import Ops
from gpucnn.reference import training
from gpucnn.reference.chain_rule import gates
from tests.build_runs import config
from tests.build_runs import run as run_config
from tests.ops.harness import assert_gradient, call
from tests.seeds.examples import equal
from tests.training.helpers import ListBatches, trainer

IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 1, 6, 6))
LABELS = np.asarray([0, 2, 1, 2], np.int32)


def gradients(model: Layer, ops: Ops, images: np.ndarray, reduction: str) -> list[np.ndarray]:
    """The loss, then the gradients of all parameters, for LABELS."""
    y = model.forward(ops.asarray(images), train=True)
    loss, dy = SoftmaxCrossEntropy(reduction=reduction)(ops, y, ops.asarray(LABELS))
    model.backward(dy)
    return [ops.to_numpy(a).copy() for a in (loss, *(p.grad for p in model.parameters()))]


@pytest.mark.seed("Q1", "E22", "E23", "S1:1")
def test_the_chain_rule_of_s1() -> None:
    """f = (x + y)z at x = -2, y = 5, z = -4; with the text's z = 4, f would be +12."""
    assert gates(-2, 5, -4) == (3, -12, -4, 3, -4, -4)
    assert gates(-2, 5, 4).f == 12


@pytest.mark.seed("A26", "S2:BP2", "S4:15", "E13")
def test_a_gradient_that_crosses_a_convolution(ops: Ops) -> None:
    """S2's network has one convolution; here BP2 takes δ through a second to the first's weights.

    Only the first convolution's parameters are differenced: their path is the longest.
    """
    model = Sequential([Conv2d(2, 3), Sigmoid(), Conv2d(2, 3), Relu(), Flatten(), Linear(3)])
    model.build((1, 6, 6), ops, 3, dtype="float64")
    parameters = model.parameters()
    grads = gradients(model, ops, IMAGES, "mean")[1:]
    for parameter, gradient in list(zip(parameters, grads, strict=True))[:2]:
        value = ops.to_numpy(parameter.value).copy()

        def loss(at: np.ndarray, parameter: Any = parameter) -> float:
            parameter.value[...] = ops.asarray(at)
            return float(gradients(model, ops, IMAGES, "mean")[0])

        assert_gradient(loss, value, gradient)
        parameter.value[...] = ops.asarray(value)


@pytest.mark.seed("C4", "E4")
def test_layers_never_divide(ops: Ops, dtype: str) -> None:
    """Gradients under mean times 4 samples are those under sum, to the bit."""
    model = Sequential([Conv2d(2, 3), Relu(), MaxPool2d(2), Flatten(), Linear(3)])
    model.build((1, 6, 6), ops, 3, dtype=dtype)
    images = IMAGES.astype(dtype)
    mean, total = (gradients(model, ops, images, reduction) for reduction in ("mean", "sum"))
    for one, other in zip(mean[1:], total[1:], strict=True):
        equal(one * 4, other)
        assert other.any()


@pytest.mark.seed("A22")
def test_the_update_is_w_minus_alpha_times_the_gradient(ops: Ops, dtype: str) -> None:
    w, dw = np.asarray([1, -2, 3], dtype), np.asarray([4, 0, -6], dtype)
    call(ops, "sgd_update", w, dw, None, lr=0.5, writes=(0,))
    equal(w, [-1, -2, 6])
    equal(training.descend(np.array([1.0, -2, 3]), np.array([4.0, 0, -6]), 0.5), w)


LAYERS = [
    training.Convolution(filters=2, kernel_size=3, activation="relu"),
    training.Pooling(2, "max"),
    training.FullyConnected(3, activation="identity"),
]


def full_batch(device_ops: Ops, start: Any, **settings: Any) -> Any:
    """A trainer of the same network on all four images at once, from the same parameters."""
    model = Sequential([Conv2d(2, 3), Relu(), MaxPool2d(2), Flatten(), Linear(3)])
    model.build((1, 6, 6), device_ops, 0, dtype="float64")
    values = [a for p in start if p is not None for a in p]
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.value[...] = device_ops.asarray(value)
    return trainer(
        device_ops,
        model=model,
        batches=ListBatches(IMAGES, LABELS, 4),
        loss=SoftmaxCrossEntropy(reduction="sum"),
        **settings,
    )


@pytest.mark.seed("A21", "S0:6", "E19", "E20")
@pytest.mark.parametrize(
    ("settings", "reason", "iterations"),
    [
        ({"alpha": 0.0, "max_iterations": 9, "epsilon": 1e-9}, "epsilon", 1),
        ({"alpha": 0.05, "max_iterations": 7, "epsilon": 1e-9}, "max_iterations", 7),
        ({"alpha": 0.05, "max_iterations": 99, "epsilon": 0.04}, "epsilon", None),
    ],
    ids=["nothing changes", "MAX", "epsilon"],
)
def test_s0s_training_and_ours_take_the_same_steps(
    device_ops: Ops, settings: dict[str, Any], reason: str, iterations: int | None
) -> None:
    """Full-batch gradient descent with α, MAX and ε: the same weights, and the same stop."""
    start = training.initialize(LAYERS, (1, 6, 6), 5)
    expected, stop = training.train(LAYERS, IMAGES, LABELS, parameters=start, **settings)
    run = full_batch(
        device_ops,
        start,
        lr=settings["alpha"],
        max_iterations=settings["max_iterations"],
        epsilon=settings["epsilon"],
        epochs=99,
    )
    assert run.fit() == stop == reason
    steps = run.progress.iteration
    assert steps == iterations if iterations else 1 < steps < 99
    values = [a for p in expected if p is not None for a in p]
    for parameter, value in zip(run.model.parameters(), values, strict=True):
        # Some tens of steps of sums over 4 images and 72 places, values of order 1.
        np.testing.assert_allclose(
            device_ops.to_numpy(parameter.value), value, rtol=1e-12, atol=1e-12
        )


# S0's inputs: layer types; K, F, P, S; k and MAX; sizes and activation; α, MAX and ε.
S0_CONFIG = (
    "data.batch_size=32",
    "data.validation=0",
    "data.augment=[]",
    "model.layers=[{conv2d: {kernel_size: 3, filters: 2, padding: 1, stride: 1}}, relu,"
    " {max_pool2d: {kernel_size: 2}}, flatten, {linear: {units: 4}}, sigmoid,"
    " {linear: {units: 3}}]",
    "loss={softmax_cross_entropy: {reduction: sum}}",
    "schedule=constant",
)


@pytest.mark.seed("A21")
@pytest.mark.parametrize(
    ("lr", "train", "reason", "iterations"),
    [
        ("0.01", "{epochs: 9, max_iterations: 3}", "max_iterations", 3),
        ("0", "{epochs: 9, epsilon: 1e-9}", "epsilon", 1),
        ("0.01", "{epochs: 1}", "epochs", 2),
    ],
)
def test_a_config_sets_alpha_max_and_epsilon_and_the_summary_says_what_stopped_it(
    tmp_path: Path, lr: str, train: str, reason: str, iterations: int
) -> None:
    summary, _ = run_config(
        tmp_path / "run", *S0_CONFIG, f"optimizer={{sgd: {{lr: {lr}}}}}", f"train={train}"
    )
    assert (summary.stop_reason, summary.iterations) == (reason, iterations)


@pytest.mark.seed("A21")
def test_a_config_names_the_pooling_criterion(tmp_path: Path) -> None:
    """MAX above; Average here; no other."""
    options, pool = (
        (*S0_CONFIG, "train={epochs: 1}"),
        "model.layers.2={avg_pool2d: {kernel_size: 2}}",
    )
    chosen = config(tmp_path, *options, pool)
    assert isinstance(build_model(chosen, get_ops("cpu")).layers[2], AvgPool2d)
    with pytest.raises(ConfigError, match="median_pool2d"):
        config(tmp_path, *options, pool.replace("avg", "median"))
