"""Every file in configs/ is built and takes a training step; some say what they must be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gpucnn
from gpucnn.build.objects import (
    build_loss,
    build_model,
    build_optimizer,
    build_schedule,
    count_parameters,
)
from gpucnn.config import load_config
from gpucnn.data import TRANSFORMS
from gpucnn.draws import generator

ROOT = Path(__file__).parent.parent
# benchmark_shapes.yaml is data, not a run.
CONFIGS = sorted(
    path for path in (ROOT / "configs").glob("*.yaml") if path.stem != "benchmark_shapes"
)
NAMES = [path.stem for path in CONFIGS]


def test_the_configs_that_were_promised_are_there() -> None:
    promised = (
        "digits_lenet seed_cnn_mnist mnist_lenet mnist_best mnist_sprint fashion_mnist_cnn"
        " cifar10_resnet20 mlp_mnist debug_cpu seed_gradient_descent"
    )
    assert set(promised.split()) <= set(NAMES)


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_a_step_lowers_the_loss_of_its_batch(path: Path) -> None:
    config = load_config(path)
    ops = gpucnn.get_ops("cpu")
    model, loss = build_model(config, ops), build_loss(config)
    optimizer, schedule = build_optimizer(config), build_schedule(config)
    optimizer.bind(model.parameters(), ops)
    classes = model.output_shape[0]
    rng = generator(0, path.stem)
    images = rng.random((16, *config.model.input), np.float32)
    for spec in config.data.augment:
        images = TRANSFORMS[spec.kind](**spec.options)(images, rng)
    labels = (np.arange(16) % classes).astype(np.int32)

    losses = []
    for step in range(8):
        # The same masks in each step, so that the steps lower one function.
        model.set_step(0)
        value, dy = loss(ops, model.forward(ops.asarray(images), train=True), labels)
        losses.append(float(value))
        model.backward(dy)
        rate = schedule.lr(optimizer.lr, step, 100, 1000)
        optimizer.step(rate / 10)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_the_seeds_network_has_its_parameters() -> None:
    config = load_config(ROOT / "configs" / "seed_cnn_mnist.yaml")
    assert count_parameters(build_model(config, gpucnn.get_ops("cpu"))) == 4408


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_the_first_lines_are_the_command_and_what_to_expect(path: Path) -> None:
    command, expected = path.read_text().splitlines()[:2]
    assert command == f"# gpucnn train configs/{path.name}"
    assert "accuracy" in expected


def test_debug_cpu_runs_as_its_first_line_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpucnn", "train", str(ROOT / "configs" / "debug_cpu.yaml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "debug_cpu" / "summary.json").is_file()
