"""S0's training loop twice: by gpucnn.reference.training, and by a config and the Trainer."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.build import predict
from gpucnn.build.objects import build_model
from gpucnn.cli import main
from gpucnn.config import load_config
from gpucnn.layers import Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, Sigmoid
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.ops import get_ops
from gpucnn.reference import training as reference
from gpucnn.training.checkpoint import read_checkpoint
from tests.oracles.tolerance import assert_close
from tests.training.helpers import ListBatches, Recorder, trainer

ROOT = Path(__file__).parent.parent
RNG = np.random.default_rng(5)
M, CLASSES = 6, 3
IMAGES, LABELS = RNG.random((M, 1, 6, 6)), np.arange(M, dtype=np.int32) % CLASSES
LAYERS: list[reference.Layer] = [
    reference.Convolution(2, 3, padding=1),
    reference.Pooling(2),
    reference.Convolution(3, 2, activation="sigmoid"),
    reference.FullyConnected(CLASSES, activation="identity"),
]
# One update sums over 6 images and 36 places at most, through sums of 12 products on the way down
# and 12 on the way up: with the roundings of the functions between them, less than 512.
TERMS_AN_ITERATION = 512


def sequential() -> Sequential:
    """LAYERS with our layers."""
    return Sequential(
        [
            Conv2d(2, 3, padding=1),
            Relu(),
            MaxPool2d(2),
            Conv2d(3, 2),
            Sigmoid(),
            Flatten(),
            Linear(CLASSES),
        ]
    )


def read(state: dict[str, Any]) -> list[reference.Parameters | None]:
    """A model's weights as LAYERS takes them, in float64."""
    values = {key: np.asarray(a, np.float64) for key, a in state.items()}
    names = [key.removesuffix(".weight") for key in sorted(values) if key.endswith(".weight")]
    layers = iter(reference.Parameters(values[f"{n}.weight"], values[f"{n}.bias"]) for n in names)
    return [None if isinstance(layer, reference.Pooling) else next(layers) for layer in LAYERS]


def flat(parameters: Any) -> np.ndarray:
    return np.concatenate([a.ravel() for p in parameters if p is not None for a in p])


def reference_run(start: Any, alpha: float, iterations: int) -> list[np.ndarray]:
    """The parameters before the first iteration and after each."""
    values, parameters = [flat(start)], start
    for _ in range(iterations):
        parameters, _ = reference.train(
            LAYERS, IMAGES, LABELS.tolist(), alpha=alpha, max_iterations=1, epsilon=1e-300,
            parameters=parameters,
        )  # fmt: skip
        values.append(flat(parameters))
    return values


def epsilon_between(values: list[np.ndarray]) -> tuple[float, int]:
    """An ε, and the iteration whose change is the first below it: neither by rounding alone."""
    changes = [float(abs(new - old).max()) for old, new in pairwise(values)]
    # The last iteration that changed less than all before it.
    at = max(i for i in range(1, len(changes)) if changes[i] < min(changes[:i]))
    lowest = min(changes[:at])
    assert lowest > 1.01 * changes[at]
    return (lowest * changes[at]) ** 0.5, at + 1


def same(actual: np.ndarray, expected: np.ndarray, iterations: int) -> None:
    scale = np.maximum(abs(expected), 1)
    assert_close(actual, expected, terms=TERMS_AN_ITERATION * iterations, magnitude=scale)


@pytest.mark.seed("A21", "A22", "A26", "C4", "S0:6")
def test_every_iteration_of_the_trainer_is_the_references() -> None:
    """In float64: parameters after each iteration, then the iteration at which ε stops both."""
    ops, alpha, iterations = get_ops("cpu"), 0.1, 8

    def fit(**settings: Any) -> tuple[Any, str, list[np.ndarray]]:
        class Weights(Recorder):
            def on_step(self, trainer: Any) -> None:
                self.values.append(flat(read(trainer.model.state())))

        model, recorder = sequential(), Weights()
        model.build((1, 6, 6), ops, 7, dtype="float64")
        start = read({key: a.copy() for key, a in model.state().items()})
        run = trainer(
            ops, model=model, batches=ListBatches(IMAGES, LABELS, M), lr=alpha,
            loss=SoftmaxCrossEntropy(reduction="sum"), callbacks=[recorder], **settings,
        )  # fmt: skip
        return start, run.fit(), recorder.values

    start, reason, values = fit(epochs=99, max_iterations=iterations, epsilon=1e-300)
    expected = reference_run(start, alpha, iterations)
    assert (reason, len(values)) == ("max_iterations", iterations)
    for done, (got, wanted) in enumerate(zip(values, expected[1:], strict=True), 1):
        same(got, wanted, done)
    assert abs(expected[-1] - expected[0]).max() > 0.1

    epsilon, at = epsilon_between(expected)
    _, reason, values = fit(epochs=99, max_iterations=99, epsilon=epsilon)
    assert (reason, len(values)) == ("epsilon", at)
    settings = {"alpha": alpha, "epsilon": epsilon, "parameters": start}
    last, reason = reference.train(LAYERS, IMAGES, LABELS.tolist(), max_iterations=99, **settings)
    assert reason == "epsilon"
    np.testing.assert_array_equal(flat(last), expected[at])
    # Where the last iteration allowed is also the first below ε, ε is the reason.
    for most, told in ((at, "epsilon"), (at - 1, "max_iterations")):
        assert fit(epochs=99, max_iterations=most, epsilon=epsilon)[1] == told
        run = reference.train(LAYERS, IMAGES, LABELS.tolist(), max_iterations=most, **settings)
        assert run[1] == told
    # Below it: an ε that is the change itself, to the bit, lets training go on.
    change = float(abs(values[-1] - values[-2]).max())
    for epsilon, told in ((change, "max_iterations"), (np.nextafter(change, 1), "epsilon")):
        assert fit(epochs=99, max_iterations=at, epsilon=float(epsilon))[1] == told


TINY = """
data: {name: npz, path: data.npz, batch_size: all, validation: 0, normalize: false}
model:
  input: [1, 6, 6]
  layers:
    - conv2d: {filters: 2, kernel_size: 3, padding: 1}
    - relu
    - max_pool2d: {kernel_size: 2}
    - conv2d: {filters: 3, kernel_size: 2}
    - sigmoid
    - flatten
    - linear: {units: 3}
loss: {softmax_cross_entropy: {reduction: sum}}
optimizer: {sgd: {lr: 0.125}}
train: {epochs: 99, max_iterations: 99, epsilon: 1e-30}
output: run
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the config above and its images, and the process in it."""
    monkeypatch.chdir(tmp_path)
    arrays = {"x_train": IMAGES.astype(np.float32), "y_train": LABELS}
    np.savez("data.npz", **arrays, x_test=arrays["x_train"], y_test=LABELS)
    Path("tiny.yaml").write_text(TINY)
    return tmp_path


def summary(run: str) -> tuple[str, int, int]:
    told = json.loads(Path(run, "summary.json").read_text())
    return told["stop_reason"], told["iterations"], told["epochs"]


@pytest.mark.seed("A21", "S0:6")
def test_a_configs_iterations_are_the_references(here: Path) -> None:
    """Whole runs in float32, as long as 1, 2 and 4 iterations, then one that ε ends."""
    ops, alpha = get_ops("cpu"), 0.125
    start = read(build_model(load_config("tiny.yaml"), ops).state())
    expected = reference_run(start, alpha, 5)

    def train(name: str, *changes: str) -> None:
        assert main(["train", "tiny.yaml", "--output", name, *changes]) == 0

    for iterations in (1, 2, 4):
        name = f"run{iterations}"
        train(name, "--set", f"train.max_iterations={iterations}")
        assert summary(name) == ("max_iterations", iterations, iterations)
        tensors = read_checkpoint(Path(name, "checkpoints", "last.safetensors")).tensors
        weights = {k.removeprefix("model."): a for k, a in tensors.items() if "model." in k}
        same(flat(read(weights)).astype(np.float32), expected[iterations], iterations)
    epsilon, at = epsilon_between(expected)
    train("stopped", "--set", f"train.epsilon={epsilon}")
    assert summary("stopped") == ("epsilon", at, at)


@pytest.mark.seed("A21")
def test_a_rate_of_0_stops_after_the_first_iteration(here: Path) -> None:
    assert main(["train", "tiny.yaml", "--set", "optimizer.sgd.lr=0"]) == 0
    assert summary("run") == ("epsilon", 1, 1)


def test_what_is_done_with_all_images_besides(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` cannot know how many they are; predict takes as many as it is given."""
    assert main(["check", "tiny.yaml"]) == 0
    told = capsys.readouterr().out
    assert "batch size all" in told
    # 2 maps of 6x6 twice, 2 of 3x3, 3 of 2x2 twice, 3 outputs; the image.
    assert "activations  756 B for an image, and 144 B for its input" in told
    assert main(["train", "tiny.yaml", "--set", "train.max_iterations=1"]) == 0
    np.savez("four.npz", images=IMAGES[:4].astype(np.float32))
    assert len(predict("run", ["four.npz"])) == 4


@pytest.mark.seed("A21", "S0:6")
@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ((), None),
        (("train.epsilon=10",), ("epsilon", 1, 1)),
        (("train.max_iterations=2",), ("max_iterations", 2, 2)),
    ],
)
def test_the_config_of_s0(
    here: Path, changes: tuple[str, ...], ended: tuple[str, int, int] | None
) -> None:
    """Plain gradient descent on the sum over all images; each end is told in summary.json."""
    path = ROOT / "configs" / "seed_gradient_descent.yaml"
    if ended is not None:
        flags = [flag for change in changes for flag in ("--set", change)]
        assert main(["train", str(path), "--output", "run", *flags]) == 0
        assert summary("run") == ended
        return
    config = load_config(path)
    assert (config.data.batch_size, config.data.validation, config.data.augment) == ("all", 0, [])
    assert config.loss.options == {"label_smoothing": 0.0, "reduction": "sum"}
    assert config.optimizer.kind == "sgd"
    rest = {key: value for key, value in config.optimizer.options.items() if key != "lr"}
    assert rest == {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    assert config.schedule.kind == "constant"
    train = config.train
    assert train.epsilon is not None
    assert train.epochs == train.max_iterations
    assert train.early_stopping is train.clip_norm is train.ema is None
