"""`--set key.path=value`, --device and --output."""

from pathlib import Path
from typing import Any

import pytest

from gpucnn.config import Spec, load_config, parse_config
from gpucnn.errors import ConfigError
from tests.config.sample import GOOD


def lookup(config: Any, path: str) -> Any:
    """The value at a dotted path of attributes, indices and options."""
    for step in path.split("."):
        if isinstance(config, Spec) and step != "kind":
            config = config.options
        if isinstance(config, list):
            config = config[int(step)]
        else:
            config = config[step] if isinstance(config, dict) else getattr(config, step)
    return config


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("model.layers.0.conv2d.filters=16", "model.layers.0.filters", 16),
        ("model.layers.0.conv2d.padding=[[0, 1], [2, 3]]", "model.layers.0.padding.1", [2, 3]),
        ("model.layers.1.batch_norm2d.momentum=2e-1", "model.layers.1.momentum", 0.2),
        ("model.layers.2.residual.body.0=tanh", "model.layers.2.body.0.kind", "tanh"),
        ("model.layers.4=relu", "model.layers.4.kind", "relu"),
        ("optimizer.sgd.lr=1e-3", "optimizer.lr", 0.001),
        ("optimizer={adam: {lr: 5e-4}}", "optimizer.lr", 0.0005),
        ("loss.softmax_cross_entropy.label_smoothing=0.1", "loss.label_smoothing", 0.1),
        ("data.augment.0.horizontal_flip.probability=1", "data.augment.0.probability", 1),
        ("data.augment=[]", "data.augment", []),
        ("data.normalize={mean: [0], std: [1]}", "data.normalize.std", [1]),
        ("train.epochs=7", "train.epochs", 7),
        ("train.early_stopping=null", "train.early_stopping", None),
        ("train.early_stopping=", "train.early_stopping", None),
        ("device=cuda:1", "device", "cuda:1"),
        ("seed = 5", "seed", 5),
        ("output=a=b", "output", "a=b"),
    ],
)
def test_sets(override: str, path: str, value: Any) -> None:
    assert lookup(parse_config(GOOD, overrides=[override]), path) == value


def test_sections_that_the_file_leaves_out_are_made() -> None:
    bare = GOOD[: GOOD.index("schedule:")]
    overrides = ["schedule.cosine.warmup_epochs=1", "train.early_stopping.patience=2"]
    config = parse_config(bare, overrides=overrides)
    assert config.schedule == Spec("cosine", {"final_lr": 0.0, "warmup_epochs": 1.0})
    assert config.train.early_stopping is not None
    assert config.train.early_stopping.patience == 2


def test_the_last_one_counts() -> None:
    assert parse_config(GOOD, overrides=["seed=2", "seed=3"]).seed == 3


def test_device_and_output_options_win(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(GOOD)
    overrides = ["device=cpu", "output=a"]
    config = load_config(path, overrides=overrides, device="auto", output=tmp_path / "b")
    assert (config.device, config.output) == ("auto", str(tmp_path / "b"))
    with pytest.raises(ConfigError, match=r"^--device: device: expected cpu, .*'cuda'\?$"):
        load_config(path, device="gpu")
    with pytest.raises(ConfigError, match=r"^--output: output: expected a path"):
        load_config(path, output="")


@pytest.mark.parametrize(
    ("override", "rest"),
    [
        (
            "model.layers.9.relu=1",
            "model.layers is a list of 5: expected an index (0 to 4), got '9'",
        ),
        ("model.layers.-1=relu", "expected an index (0 to 4), got '-1'"),
        ("model.layers.²=relu", "expected an index (0 to 4), got '²'"),
        ("model.layers.first=relu", "expected an index (0 to 4), got 'first'"),
        ("data.augment.1=cutout", "data.augment is a list of 1: expected an index (0 to 0)"),
        ("model.layers.0.conv2.filters=8", "model.layers.0 has conv2d, got 'conv2'; did you mean"),
        ("model.layers.4.relu=1", "model.layers.4 is the string 'flatten': it has no 'relu'"),
        ("optimizer.adam.lr=1", "optimizer has sgd, got 'adam'"),
        ("seed.x=1", "seed is 1: it has no 'x'"),
        ("trian.epochs=3", "trian: expected one of seed, device, data, model, loss, optimizer,"),
        ("train.epoch=3", "train.epoch: expected one of epochs,"),
        ("model.layers.0.conv2d.filters=a", "model.layers.0.conv2d.filters: expected an integer"),
        ("model.layers.0.conv2d={}", "model.layers.0.conv2d: required key 'filters' is missing"),
        ("model.layers.4=conv2d", "model.layers.4.conv2d: required key 'filters' is missing"),
        ("train.early_stopping.patience=2", "train.early_stopping is 3: it has no 'patience'"),
        ("seed=[", "not YAML"),
        ("seed=&a 1", "anchors and aliases"),
        ("train={epochs: 1, epochs: 2}", "epochs: duplicate key"),
        ("seed", "expected KEY.PATH=VALUE such as model.layers.0.conv2d.filters=8"),
        ("=1", "expected KEY.PATH=VALUE"),
        ("a..b=1", "expected KEY.PATH=VALUE"),
        ("", "expected KEY.PATH=VALUE"),
    ],
)
def test_says_what_is_wrong(override: str, rest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD, name="c.yaml", overrides=[override])
    assert str(caught.value).startswith(f"--set {override}: ")
    assert rest in str(caught.value)


def test_faults_beside_an_override_stay_in_the_file() -> None:
    text = GOOD.replace("kernel_size: 3", "kernel_size: x")
    with pytest.raises(ConfigError, match=r"^c\.yaml:7:41: model\.layers\.0\.conv2d\.kernel_size"):
        parse_config(text, name="c.yaml", overrides=["model.layers.0.conv2d.filters=16"])
