"""Dropout layers: masks by seed and step, identity in evaluation (SEEDS A23)."""

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.layers import Layer
from gpucnn.ops.base import Ops
from tests.layers.harness import run

SHAPE = (8, 6, 6)
KINDS = {
    "dropout": lambda rate: gl.Dropout(rate),
    "dropout2d": lambda rate: gl.Dropout2d(rate),
    "drop_block2d": lambda rate: gl.DropBlock2d(rate, 2),
}
EACH = pytest.mark.parametrize("kind", KINDS)


def build(kind: str, ops: Ops, *, rate: float = 0.4, seed: int = 0) -> Layer:
    layer = KINDS[kind](rate)
    layer.build(SHAPE, ops, seed)
    return layer


def train(layer: Layer, ops: Ops) -> np.ndarray:
    ones = ops.asarray(np.ones((4, *SHAPE), "float32"))
    return ops.to_numpy(layer.forward(ones, train=True))


@EACH
def test_kept_values_are_scaled_and_the_mask_is_reused_backward(ops: Ops, kind: str) -> None:
    layer = build(kind, ops)
    y = train(layer, ops)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - 0.4))}
    dx = layer.backward(ops.asarray(np.ones_like(y)))
    np.testing.assert_array_equal(ops.to_numpy(dx), y)


@EACH
def test_evaluation_is_the_identity(ops: Ops, kind: str) -> None:
    x = np.arange(2 * np.prod(SHAPE), dtype="float32").reshape(2, *SHAPE)
    np.testing.assert_array_equal(run(build(kind, ops), x, train=False), x)


@EACH
def test_masks_are_functions_of_seed_and_step(ops: Ops, kind: str) -> None:
    layer = build(kind, ops)
    masks = [train(layer, ops) for _ in range(3)]
    assert layer.step == 3
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()
    layer.set_step(1)
    np.testing.assert_array_equal(train(layer, ops), masks[1])
    np.testing.assert_array_equal(train(build(kind, ops), ops), masks[0])
    assert (train(build(kind, ops, seed=1), ops) != masks[0]).any()
    # Evaluation draws nothing and counts nothing.
    layer.set_step(2)
    layer.forward(ops.zeros((1, *SHAPE), "float32"), train=False)
    np.testing.assert_array_equal(train(layer, ops), masks[2])


@EACH
def test_rate_zero_drops_nothing(ops: Ops, kind: str) -> None:
    assert (train(build(kind, ops, rate=0), ops) == 1).all()


def test_dropout2d_takes_whole_channels(ops: Ops) -> None:
    y = train(build("dropout2d", ops), ops).reshape(4, 8, -1)
    assert (y == y[:, :, :1]).all()
    assert 0 < (y[:, :, 0] == 0).sum() < 32
