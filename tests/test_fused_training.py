"""Whole runs with fused layers (`model.fuse`): the same files, frames and messages as without."""

from pathlib import Path

import numpy as np
import pytest

import gpucnn
from gpucnn.build.objects import build_model
from gpucnn.config import parse_config
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Conv2d, Flatten, Linear, Relu, Residual, Sequential, fuse
from gpucnn.layers.fusion import ALONE
from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from tests.build_runs import config, outcome, run
from tests.profiling.runs import observed
from tests.profiling.test_observe import Names
from tests.training.helpers import CLASSES, SHAPE, conv_model, problem, trainer

LAYERS = (
    "model.layers=[{conv2d: {filters: 4, kernel_size: 3, padding: 1}}, relu,"
    " {max_pool2d: {kernel_size: 2}}, {residual: {body: [batch_norm2d, relu,"
    " {conv2d: {filters: 4, kernel_size: 3, padding: 1}}, batch_norm2d]}}, relu,"
    " {dropout: {rate: 0.3}}, flatten, {linear: {units: 3}}]"
)


@pytest.mark.parametrize("device", ["cpu", "emulator"])
@pytest.mark.parametrize("more", [(), (LAYERS,)], ids=["norm_relu_pool", "residual"])
def test_a_run_leaves_the_same_behind(tmp_path: Path, device: str, more: tuple[str, ...]) -> None:
    """Weights, averages, running statistics, losses and scores, to the bit."""
    outcomes = []
    for fused in ("true", "false"):
        folder = tmp_path / fused
        run(folder, *more, f"model.fuse={fused}", f"device={device}", "train.epochs=2")
        outcomes.append(outcome(folder))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("fused", [True, False])
def test_the_key_decides(tmp_path: Path, fused: bool) -> None:
    model = build_model(config(tmp_path, f"model.fuse={str(fused).lower()}"), NumpyOps())
    assert (model.layers[1].fusion != ALONE) is fused


def test_layers_are_fused_unless_the_config_says_otherwise() -> None:
    text = (
        "data: {name: cifar10}\nmodel: {input: [3, 32, 32], layers: [batch_norm2d, relu]}\n"
        "optimizer: {sgd: {lr: 0.1}}\n"
    )
    model = build_model(parse_config(text), NumpyOps())
    assert model.layers[0].fusion.relu


def test_every_layer_has_its_frames() -> None:
    """A profile shows each layer, in the same order, whoever does its work."""
    frames = []
    for fused in (True, False):
        ops = NumpyOps()
        model = conv_model(ops)
        if fused:
            fuse(model)
        names = Names()
        observed(trainer(ops, model=model, batches=problem(8, 4), epochs=1), names)
        frames.append([row for row in names.seen if row[1] == "layer"])
    assert frames[0] == frames[1]
    assert frames[0]


def test_an_output_that_relu_hides_is_named(ops: Ops) -> None:
    """conv2d gives -inf, which ReLU makes 0; the next layer's overflow is not the first."""
    layers = [Conv2d(filters=1, kernel_size=1), Relu(), Flatten(), Linear(units=CLASSES)]
    model = Sequential(layers)
    model.build(SHAPE, ops, 7)
    fuse(model)
    model.layers[0].bias.value[...] = -np.inf
    model.layers[3].bias.value[...] = np.inf
    with pytest.raises(NonFiniteError, match=r"model\.layers\.0 conv2d is the first"):
        trainer(ops, model=model).fit()
    assert model.layers[0].fusion.relu


def test_a_layer_can_be_used_by_itself() -> None:
    """Outside of a fused model, a layer does its own work alone."""
    ops = gpucnn.get_ops("cpu")
    conv = Conv2d(filters=2, kernel_size=1)
    conv.build((1, 4, 4), ops, 0)
    conv.bias.value[...] = -100
    y = conv.forward(np.ones((1, 1, 4, 4), np.float32), train=False)
    assert (y < 0).all()
    block = Residual([Conv2d(filters=1, kernel_size=1)])
    block.build((1, 4, 4), ops, 0)
    assert block.fusion == ALONE
