"""NaN and Inf in a training: found in the step they come up in, and their place named."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import NonFiniteError
from gpucnn.layers import Flatten, Linear, Relu, Residual, Sequential
from gpucnn.losses import MeanSquaredError
from gpucnn.ops.base import Ops
from tests.training.helpers import (
    CLASSES,
    ListBatches,
    Recorder,
    conv_model,
    problem,
    trainer,
)


def poisoned(images: int = 10, at: int = 9) -> ListBatches:
    batches = problem(images, 4)
    batches.images[at, 0, 1, 1] = np.nan
    return batches


def test_nan_in_the_data_is_told_from_nan_in_a_layer(ops: Ops) -> None:
    recorder = Recorder()
    run = trainer(ops, batches=poisoned(), callbacks=[recorder])
    with pytest.raises(
        NonFiniteError,
        match=r"step 3, epoch 1, batch 3 \(images 8, 9\), loss nan: the input batch itself",
    ):
        run.fit()
    assert recorder.calls == ["start", "step", "step", "stop non_finite"]
    np.testing.assert_array_equal(ops.to_numpy(run.optimizer.values), recorder.values[-1])


def test_the_first_layer_with_a_non_finite_output_is_named(ops: Ops) -> None:
    model = conv_model(ops)
    model.layers[1].state()["gamma"][...] = np.inf
    with pytest.raises(NonFiniteError, match=r"model\.layers\.1 batch_norm2d is the first"):
        trainer(ops, model=model).fit()


def test_a_container_whose_sum_overflows_is_named(ops: Ops) -> None:
    model = Sequential([Flatten(), Residual(body=[Relu()], shortcut=[]), Linear(units=CLASSES)])
    model.build((1, 4, 4), ops, 7)
    batches = problem(4, 4)
    batches.images[...] = 3e38
    with pytest.raises(NonFiniteError, match=r"model\.layers\.1 residual is the first"):
        trainer(ops, model=model, batches=batches).fit()


def test_a_gradient_that_overflows_is_named(ops: Ops) -> None:
    class Steep(MeanSquaredError):
        def __call__(self, ops: Ops, y: Any, target: Any) -> Any:
            loss, dy = super().__call__(ops, y, target)
            return loss, dy * np.float32(1e38)

    batches = problem(4, 4)
    batches.images *= 100
    with pytest.raises(NonFiniteError, match=r"gradient of model\.layers\.1 linear, weight is"):
        trainer(ops, batches=batches, loss=Steep()).fit()


def test_nan_in_validation_is_named(ops: Ops) -> None:
    recorder = Recorder()
    with pytest.raises(NonFiniteError, match=r"evaluation met.*batch 3 \(images 8, 9\)"):
        trainer(ops, validation=poisoned(), callbacks=[recorder]).fit()
    assert recorder.calls[-2:] == ["step", "stop non_finite"]


def test_no_snapshot_of_weights_that_are_not_finite(ops: Ops) -> None:
    run = trainer(ops, epochs=1)
    run.fit()
    run.optimizer.values[0] = np.inf
    with pytest.raises(NonFiniteError, match=r"model\.1\.weight is no longer finite after step 3"):
        run.snapshot()


def test_many_image_indices_are_counted(ops: Ops) -> None:
    batches = ListBatches(*vars(poisoned(20, 0)).values())
    batches.size = 20
    with pytest.raises(NonFiniteError, match=r"images 0, 1, .*, 15 and 4 more\)"):
        trainer(ops, batches=batches).fit()
