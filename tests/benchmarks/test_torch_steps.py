"""PyTorch's side of the benchmarks: the same network, updates and, as graphs, steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.build.objects import build_loss, build_model
from gpucnn.config import load_config
from tests.benchmarks.processes import run
from tests.benchmarks.test_time_to_accuracy import CONFIG as TINY

# Of the whole file: to skip a test on cuda is a failure under --require-gpu.
torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = ["mnist_lenet", "mnist_sprint", "mnist_best", "cifar10_resnet20"]


def batch(config: Any, count: int, dtype: str = "float32") -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    images = rng.standard_normal((count, *config.model.input)).astype(dtype)
    return images, rng.integers(0, 10, count).astype(np.int32)


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_are_the_same(name: str) -> None:
    from torch_networks import take_weights, torch_loss, torch_network

    config, ops = load_config(CONFIGS / f"{name}.yaml"), gpucnn.get_ops("cpu")
    model, shape = build_model(config, ops), tuple(config.model.input)
    model.build(shape, ops, config.seed, dtype="float64")
    images, labels = batch(config, 4, "float64")
    loss, dy = build_loss(config)(ops, model.forward(images, train=True), labels)
    model.backward(dy)

    network = torch_network(config.model.layers, shape).double()
    take_weights(network, model, ops)
    theirs = torch_loss(config)(network(torch.from_numpy(images)), torch.from_numpy(labels).long())
    theirs.backward()
    # Relative to the largest: 22 layers forward and back, each a sum of at most 1,200 products.
    tolerance = 44 * 1200 * np.finfo(float).eps
    assert abs(float(loss) - theirs.item()) <= tolerance * theirs.item()
    for mine, other in zip(model.parameters(), network.parameters(), strict=True):
        expected = other.grad.numpy().reshape(mine.grad.shape)
        assert abs(mine.grad - expected).max() <= tolerance * max(abs(expected).max(), 1.0)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("mnist_best", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
        ("mnist_lenet", "SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": False}),
    ],
)
def test_the_optimizer_has_the_configs_options(name: str, kind: str, options: dict) -> None:
    from torch_networks import torch_optimizer

    parameters = [torch.nn.Parameter(torch.ones(2))]
    optimizer = torch_optimizer(load_config(CONFIGS / f"{name}.yaml"), parameters, on_gpu=False)
    assert type(optimizer).__name__ == kind
    (group,) = optimizer.param_groups
    assert options.items() <= group.items()


@pytest.mark.parametrize(("key", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
def test_adam_has_the_configs_options(key: str, kind: str) -> None:
    from torch_networks import torch_optimizer

    given = "{lr: 0.5, beta1: 0.7, beta2: 0.8, eps: 0.25, weight_decay: 0.125}"
    overrides = [f"optimizer={{{key}: {given}}}"]
    config = load_config(CONFIGS / "mnist_lenet.yaml", overrides=overrides)
    optimizer = torch_optimizer(config, [torch.nn.Parameter(torch.ones(2))], on_gpu=False)
    (group,) = optimizer.param_groups
    expected = {"lr": 0.5, "betas": (0.7, 0.8), "eps": 0.25, "weight_decay": 0.125}
    assert (type(optimizer).__name__, expected.items() <= group.items()) == (kind, True)


def test_what_has_no_counterpart_is_named() -> None:
    from torch_networks import torch_loss, torch_network, torch_optimizer

    text = CONFIGS / "mnist_lenet.yaml"
    config = load_config(
        text, overrides=["loss=mean_squared_error", "optimizer={rmsprop: {lr: 1}}"]
    )
    with pytest.raises(ValueError, match="mean_squared_error"):
        torch_loss(config)
    with pytest.raises(ValueError, match="rmsprop"):
        torch_optimizer(config, [], on_gpu=False)
    layers = load_config(CONFIGS / "debug_cpu.yaml").model.layers
    with pytest.raises(ValueError, match="no PyTorch module for"):
        torch_network(layers, (1, 8, 8))


def test_graphs_do_the_steps_that_eager_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the capture: it notes what to do, and does it when it is launched."""
    import torch_steps
    from torch_networks import take_weights

    captures = []
    monkeypatch.setattr(torch_steps, "aside", lambda work: work())
    monkeypatch.setattr(torch_steps, "captured", lambda work: captures.append(work) or work)
    config, ops = load_config(CONFIGS / "mnist_lenet.yaml"), gpucnn.get_ops("cpu")
    model = build_model(config, ops)
    images, labels = (torch.from_numpy(a) for a in batch(config, 12))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1)).split(5)
    ends = []
    for graph in (False, True):
        steps = torch_steps.TorchSteps(config, images, labels.long(), graph=graph)
        take_weights(steps.network, model, ops)
        for epoch in range(6):
            steps.set_lr(0.01 / (epoch + 1))
            for indices in order:
                steps.step(indices)
        ends.append([p.detach().numpy().tobytes() for p in steps.network.parameters()])
        # Batches of 5, 5 and 2: 12 and 6 of them, 3 of each size eager.
        assert steps.replays == (9 + 3 if graph else 0)
    assert len(captures) == 2
    assert ends[0] == ends[1]


def test_a_rate_in_memory_is_written_where_it_lies() -> None:
    from torch_steps import TorchSteps

    config = load_config(CONFIGS / "mnist_lenet.yaml")
    images, labels = (torch.from_numpy(a) for a in batch(config, 2))
    steps = TorchSteps(config, images, labels.long())
    (group,) = steps._optimizer.param_groups
    steps.set_lr(0.5)
    assert group["lr"] == 0.5
    group["lr"] = memory = torch.tensor(0.5)
    steps.set_lr(0.25)
    assert group["lr"] is memory
    assert memory.item() == 0.25


def test_accuracy_is_the_share_of_right_images() -> None:
    from torch_steps import TorchSteps

    config = load_config(CONFIGS / "mnist_lenet.yaml")
    images, labels = (torch.from_numpy(a) for a in batch(config, 7))
    steps = TorchSteps(config, images, labels.long())
    steps.network.eval()
    guessed = steps.network(images).argmax(1)
    wrong = (guessed + torch.tensor([0, 0, 1, 0, 1, 0, 0])) % 10
    steps.network.train()
    assert steps.accuracy(images, wrong, at_once=3) == 5 / 7
    assert steps.network.training


def test_pytorch_has_what_a_graph_is_made_with() -> None:
    assert all(hasattr(torch.cuda, name) for name in ("CUDAGraph", "graph", "Stream", "stream"))
    assert hasattr(torch.cuda.CUDAGraph, "replay")


@pytest.mark.slow
def test_pytorchs_ways_beside_ours_on_a_gpu(tmp_path: Path) -> None:
    done = run(
        "training_steps", tmp_path, "digits_lenet:2", "--device", "cuda", "--against", "torch",
        "--rounds", "2", "--steps", "5", "--record", with_torch=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    (row,) = json.loads(file.read_text())["training_steps"]["figures"]["rows"]
    for kind in ("eager", "graph"):
        for math in ("fp32", "tf32"):
            name = f"torch_{kind}_{math}"
            faster = min(row[f"{name}_ms"], row[f"{name}_channels_last_ms"])
            assert row[f"{name}_ratio"] == faster / row["gpucnn_graph_ms"]


def test_pytorchs_accuracy_beside_ours_on_a_gpu(tmp_path: Path) -> None:
    path, results = tmp_path / "tiny.yaml", tmp_path / "results"
    path.write_text(TINY)
    chosen = (str(path), "--device", "cuda", "--seeds", "0", "--against", "torch", "--record")
    done = run("time_to_accuracy", results, *chosen, with_torch=True)
    assert done.returncode == 0, done.stderr
    (file,) = results.iterdir()
    runs = json.loads(file.read_text())["time_to_accuracy tiny"]["figures"]["runs"]
    assert list(runs) == ["gpucnn", "torch_eager", "torch_graph"]
    # Both ways take the same steps, and the graphs here are those steps.
    eager, graph = (
        [p["accuracy"] for p in runs[name]["curves"][0]] for name in ("torch_eager", "torch_graph")
    )
    assert eager == graph


@pytest.mark.parametrize("key", ["sgd", "adam", "adamw"])
def test_on_a_gpu_the_rate_lies_in_its_memory(key: str) -> None:
    from torch_networks import torch_optimizer

    from tests.benchmarks.torch_on_host import on_host

    config = load_config(
        CONFIGS / "mnist_lenet.yaml", overrides=[f"optimizer={{{key}: {{lr: 0.5}}}}"]
    )
    weight = torch.nn.Parameter(torch.ones(2))
    with on_host():
        optimizer = torch_optimizer(config, [weight], on_gpu=True, graph=True)
    (group,) = optimizer.param_groups
    # SGD has nothing that it must be told of a capture.
    assert (group["fused"], group.get("capturable", True)) == (True, True)
    group["lr"].fill_(0.25)
    weight.sum().backward()
    optimizer.step()
    assert weight.detach().numpy() == pytest.approx(0.75, abs=0.01)
