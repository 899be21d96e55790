"""The memory that `gpucnn check` foretells beside what training really allocates."""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gpucnn.build.memory import MemoryUse, predict, predict_memory
from gpucnn.config import load_config
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.ops import get_ops
from gpucnn.ops.dry import dry_ops
from gpucnn.optimizers import SGD, Adam, Optimizer
from gpucnn.runtime.dry import DryMemory
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.schedules import Constant
from gpucnn.training.trainer import Settings, Trainer
from tests.training.helpers import HostBatch, ListBatches, trainer
from tests.training.networks import NETWORKS, images, network

# device -> side of the images, batch: the emulator is slow.
SIZES = {"cpu": (28, 64), "emulator": (12, 16)}


class Copied(ListBatches):
    """As a loader's: each batch is memory of its own, and gone with its step."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[HostBatch]:
        for batch in super().epoch(epoch, start):
            yield HostBatch(batch.images.copy(), batch.labels.copy(), batch.indices)


def optimizer_of(name: str) -> Optimizer:
    return SGD(lr=0.01) if name == "lenet" else Adam(lr=0.001)


def settings_of(name: str) -> dict[str, Any]:
    more: dict[str, Any] = {"ema": 0.9, "clip_norm": 1.0} if name == "residual" else {}
    return {"epochs": 1, "max_iterations": 3, **more}


def real(name: str, device: str) -> Trainer:
    """Three steps, of which the last is short, and an evaluation after them."""
    size, batch = SIZES[device]
    ops = get_ops(device)
    data = images(2 * batch + 3, batch, size)
    t = trainer(
        ops,
        model=network(name, ops, size),
        batches=Copied(data.images, data.labels, batch),
        validation=Copied(data.images, data.labels, batch),
        optimizer=optimizer_of(name),
        **settings_of(name),
    )
    t.fit()
    return t


def predicted(name: str, device: str, batch: int | None = None) -> MemoryUse:
    size, usual = SIZES["emulator" if device != "cpu" else device]
    ops = dry_ops(device)
    return predict(
        network(name, ops, size), SoftmaxCrossEntropy(), optimizer_of(name), ops, batch or usual,
        schedule=Constant(), settings=Settings(**settings_of(name)),
    )  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_within_a_tenth_of_what_is_allocated(name: str) -> None:
    """On the cpu: everything, Python's own objects too."""
    foretold = predicted(name, "cpu")
    real(name, "cpu")  # thread pools and the tables of Python's own
    gc.collect()
    tracemalloc.start()
    try:
        t = real(name, "cpu")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert foretold.peak == pytest.approx(peak - data_set(t), rel=0.1)
    assert foretold.activations + foretold.workspaces == t.arena.size, "the plan itself is exact"


@pytest.mark.parametrize("name", NETWORKS)
def test_within_a_tenth_of_what_is_allocated_on_the_emulator(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arrays, looked at in each launch: of small ones, beside the objects of each launch."""
    foretold, seen = predicted(name, "emulator"), [0]
    launch = EmulatorLauncher._launch

    def watched(*args: Any) -> None:
        arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
        seen.append(sum(trace.size for trace in traces))
        launch(*args)

    monkeypatch.setattr(EmulatorLauncher, "_launch", watched)
    tracemalloc.start()
    try:
        t = real(name, "emulator")
    finally:
        tracemalloc.stop()
    fed = (host for captured in t.steps._captured.values() for host in captured.places._hosts)
    on_the_host = data_set(t) + sum(host.nbytes for host in fed)
    assert foretold.peak == pytest.approx(max(seen) - on_the_host, rel=0.1)
    assert foretold.activations + foretold.workspaces == t.arena.size, "the plan itself is exact"


def data_set(t: Trainer) -> int:
    """Bytes of the images and labels of training, which are no part of its memory."""
    return int(t.batches.images.nbytes + t.batches.labels.nbytes)


@pytest.mark.parametrize("name", NETWORKS)
def test_cuda_needs_what_the_emulator_needs(name: str) -> None:
    assert predicted(name, "cuda") == predicted(name, "emulator")


def test_the_parts_by_hand() -> None:
    """Two linear layers' state, and activations of one network from its shapes."""
    use = predicted("lenet", "emulator", batch=16)
    parameters = [8 * 25, 8, 16 * 8 * 25, 16, 40 * 16, 40, 3 * 40, 3]
    padded = sum(-(-n // 64) * 64 for n in parameters)
    assert use.state == 2 * 4 * padded, "SGD without momentum: values and gradients"
    assert use.batch == 2 * (16 * 12 * 12 * 4 + 16 * 4), "a graph's copy, and evaluation's"
    conv, pooled = 8 * 12 * 12, 8 * 6 * 6
    # Kept for backward: both inputs of ReLU and its results, the places of the maxima.
    assert use.activations > 16 * 4 * (2 * conv + pooled)
    assert use.activations < 16 * 4 * (4 * conv + 4 * pooled)


def test_larger_batches_take_more_and_the_state_stays() -> None:
    small, large = (predicted("branches", "emulator", batch) for batch in (4, 8))
    assert small.state == large.state
    assert large.batch == 2 * small.batch
    assert large.activations == pytest.approx(2 * small.activations, rel=0.01)


def test_a_network_beyond_the_machine_takes_the_memory_of_one_array() -> None:
    """And nothing touches that: the device computes nothing, and need not be there."""
    ops = dry_ops("cuda:7")
    use = predict(
        network("residual", ops, 448), MeanSquaredError(), Adam(lr=0.1), ops, 256,
        schedule=Constant(), settings=Settings(epochs=1, max_iterations=1),
    )  # fmt: skip
    largest = 256 * 8 * 448 * 448 * 4
    assert use.activations > 8 * largest
    assert isinstance(ops.memory, DryMemory)
    assert ops.memory._size == largest


@pytest.mark.parametrize("name", ["mnist_lenet", "cifar10_resnet20"])
@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_a_config(name: str, device: str) -> None:
    config = load_config(f"configs/{name}.yaml")
    use = predict_memory(config, device, 32)
    assert min(use.state, use.activations) > 0
    assert use.workspaces >= 0
    each = 32 * 4 * (1 + config.model.input[0] * config.model.input[1] ** 2)
    assert use.batch == each * (2 if device == "emulator" else 1)
