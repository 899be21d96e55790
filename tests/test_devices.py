"""Training on the emulator, whole: the kernels' losses beside the cpu's, step by step."""

from pathlib import Path

import numpy as np

import gpucnn
from gpucnn.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Relu,
    Residual,
    Sequential,
)
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.optimizers import SGD
from tests.build_runs import run

STEPS = 20


def losses(device: str, dtype: str) -> np.ndarray:
    """The losses of 20 steps on one batch after another of a fixed set."""
    ops = gpucnn.get_ops(device)
    model = Sequential(
        layers=[
            Conv2d(filters=6, kernel_size=3, padding=1),
            BatchNorm2d(),
            Relu(),
            Residual(body=[Conv2d(filters=6, kernel_size=3, padding=1), Relu()], shortcut=[]),
            MaxPool2d(kernel_size=2),
            Dropout(rate=0.2),
            Flatten(),
            Linear(units=4),
        ]
    )
    model.build((2, 8, 8), ops, seed=1, dtype=dtype)
    optimizer, loss = SGD(lr=0.05, momentum=0.9, weight_decay=1e-4), SoftmaxCrossEntropy()
    optimizer.bind(model.parameters(), ops)
    rng = np.random.default_rng(3)
    images = rng.standard_normal((32, 2, 8, 8))
    labels = rng.integers(4, size=32).astype("int32")
    found = []
    for step in range(STEPS):
        part = slice(8 * (step % 4), 8 * (step % 4) + 8)
        model.set_step(step)
        x = ops.asarray(images[part].astype("float32"), dtype)
        value, dy = loss(ops, model.forward(x, train=True), ops.asarray(labels[part]))
        model.backward(dy)
        ops.clip_by_global_norm(optimizer.grads, max_norm=1.0)
        optimizer.step(0.05)
        found.append(float(ops.to_numpy(value)))
    return np.array(found)


def test_twenty_steps_agree_with_the_cpu_to_rounding() -> None:
    """Float32 errs by what the cpu's own float32 run errs by against float64, and by no other size.

    Sixteen times that, because the two round in different orders; a wrong gradient errs by 1e-2.
    """
    exact, cpu, emulator = (
        losses(device, dtype)
        for device, dtype in (("cpu", "float64"), ("cpu", "float32"), ("emulator", "float32"))
    )
    rounding = abs(cpu - exact).max() + np.finfo("float32").eps * exact.max()
    assert rounding < 1e-4, "rounding must stay rounding for the comparison to say anything"
    assert abs(emulator - cpu).max() <= 16 * rounding
    assert emulator[-4:].mean() < emulator[:4].mean() / 2, "it learns"


def test_a_run_on_the_emulator(tmp_path: Path) -> None:
    """`device: emulator` in a config: the summary names it, and the losses are the cpu's."""
    here, _ = run(tmp_path / "emulator", "device=emulator", "train.epochs=1")
    there, _ = run(tmp_path / "cpu", "train.epochs=1")
    assert here.device == "emulator"
    assert np.isclose(here.test_loss, there.test_loss, rtol=1e-4)
