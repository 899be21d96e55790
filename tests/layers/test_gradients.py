"""Every layer's backward against finite differences, and against its adjoint where it is linear."""

import numpy as np
import pytest

from gpucnn import get_ops
from gpucnn.layers import LAYERS
from gpucnn.ops.base import Ops
from tests.layers.harness import CASES, built, rng, run, spread
from tests.ops.harness import assert_gradient
from tests.oracles.tolerance import bound

LINEAR = [name for name, case in CASES.items() if case.linear]


def test_every_layer_has_a_case() -> None:
    kinds = {case.make().kind for case in CASES.values()}
    assert kinds == set(LAYERS)


@pytest.mark.parametrize("name", CASES)
def test_input_gradient_is_the_finite_difference(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x = spread((2, *CASES[name].shape))
    weights = rng(1).uniform(-1, 1, (2, *layer.output_shape))
    _, dx = run(layer, x, weights)

    def total(at: np.ndarray) -> float:
        return float((run(layer, at) * weights).sum())

    assert_gradient(total, x, dx, curvature=CASES[name].curvature)


WITH_PARAMETERS = [name for name in CASES if built(name, get_ops("cpu")).parameters()]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameter_gradients_are_the_finite_differences(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x = spread((2, *CASES[name].shape))
    weights = rng(1).uniform(-1, 1, (2, *layer.output_shape))
    run(layer, x, weights)
    assert layer.parameters()
    for parameter in layer.parameters():
        # y may curve in the parameters of a layer that is linear in x, but not by more than tanh
        # over these small sums does.
        value = ops.to_numpy(parameter.value).copy()

        def total(at: np.ndarray, parameter=parameter) -> float:
            parameter.value[...] = ops.asarray(at)
            return float((run(layer, x) * weights).sum())

        gradient = ops.to_numpy(parameter.grad)
        assert_gradient(total, value, gradient, curvature=CASES[name].curvature)
        parameter.value[...] = ops.asarray(value)


@pytest.mark.parametrize("name", LINEAR)
def test_backward_is_the_adjoint(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x = rng(2).standard_normal((3, *CASES[name].shape))
    dy = rng(3).standard_normal((3, *layer.output_shape))
    y, dx = run(layer, x, dy)
    forward, backward = float((y * dy).sum()), float((x * dx).sum())
    # Σ|A||x||dy|, from the layer of absolute weights: what the rounding of either sum scales with.
    for parameter in layer.parameters():
        parameter.value[...] = abs(parameter.value)
    magnitude = float((run(layer, abs(x)) * abs(dy)).sum())
    terms = x.size + dy.size + sum(p.size for p in layer.parameters())
    assert abs(forward - backward) <= bound(terms, magnitude, "float64")
    assert abs(forward) > bound(terms, magnitude, "float64"), "the test could not fail"


@pytest.mark.parametrize("name", CASES)
def test_dtype_and_shapes(ops: Ops, name: str, dtype: str) -> None:
    layer = built(name, ops, dtype=dtype)
    x = spread((2, *CASES[name].shape)).astype(dtype)
    dy = np.ones((2, *layer.output_shape), dtype)
    y, dx = run(layer, x, dy)
    assert (y.shape, y.dtype) == ((2, *layer.output_shape), dtype)
    assert (dx.shape, dx.dtype) == (x.shape, dtype)
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.shape == parameter.value.shape
        assert parameter.grad.dtype == parameter.value.dtype == dtype


@pytest.mark.parametrize("name", CASES)
def test_empty_batch(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x = np.zeros((0, *CASES[name].shape))
    y, dx = run(layer, x, np.zeros((0, *layer.output_shape)))
    assert y.shape == (0, *layer.output_shape)
    assert dx.shape == x.shape
    for parameter in layer.parameters():
        assert not ops.to_numpy(parameter.grad).any()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_overwritten_not_added(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = spread((2, *CASES[name].shape)), np.ones((2, *layer.output_shape))
    _, first = run(layer, x, dy)
    grads = [ops.to_numpy(p.grad).copy() for p in layer.parameters()]
    _, second = run(layer, x, dy)
    np.testing.assert_array_equal(first, second)
    for parameter, grad in zip(layer.parameters(), grads, strict=True):
        np.testing.assert_array_equal(ops.to_numpy(parameter.grad), grad)
