"""Loss, accuracy and confusions against loops over the images."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.layers import Conv2d, Sequential
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops.base import Ops
from gpucnn.training.evaluation import evaluate
from tests.training.helpers import CLASSES, conv_model, linear_model, problem

EPS32 = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("size", [1, 4, 11, 20])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, MeanSquaredError])
def test_equals_a_loop_over_the_images(ops: Ops, kind: Any, reduction: str, size: int) -> None:
    batches, model = problem(11, size), linear_model(ops)
    state = {key: ops.to_numpy(a).astype(np.float64) for key, a in model.state().items()}
    losses, confusion = [], np.zeros((CLASSES, CLASSES), int)
    for image, label in zip(batches.images, batches.labels, strict=True):
        z = state["1.weight"] @ image.ravel() + state["1.bias"]
        confusion[label, z.argmax()] += 1
        if kind is SoftmaxCrossEntropy:
            losses.append(np.log(np.exp(z - z[label]).sum()))
        else:
            losses.append(0.5 * ((z - np.eye(CLASSES)[label]) ** 2).sum())
    result = evaluate(model, kind(reduction=reduction), batches, ops)
    # Sums of 16 products and then of 11 losses in float32.
    assert result.loss == pytest.approx(np.mean(losses), rel=30 * EPS32)
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.accuracy == confusion.trace() / 11


def test_leaves_the_model_as_it_was(ops: Ops) -> None:
    model = conv_model(ops)
    before = {key: ops.to_numpy(a).copy() for key, a in model.state().items()}
    first = evaluate(model, SoftmaxCrossEntropy(), problem(9, 4), ops)
    second = evaluate(model, SoftmaxCrossEntropy(), problem(9, 4), ops)
    assert first.loss == second.loss
    after = {key: ops.to_numpy(a) for key, a in model.state().items()}
    assert all((before[key] == after[key]).all() for key in before)


def test_outputs_that_are_images_are_refused(ops: Ops) -> None:
    model = Sequential([Conv2d(filters=2, kernel_size=1)])
    model.build((1, 4, 4), ops, 0)
    with pytest.raises(ShapeError, match=r"\(N, classes\)"):
        evaluate(model, MeanSquaredError(), problem(4, 4), ops)
