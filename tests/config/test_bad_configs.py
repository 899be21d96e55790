"""A row for each rule of a config: what is wrong, where, what was expected, the nearest name."""

import pytest

from gpucnn.config import parse_config
from gpucnn.errors import ConfigError
from tests.config.sample import GOOD, broken

CONV, FLIP = "conv2d: {filters: 8, kernel_size: 3, padding: 1}", "[horizontal_flip]"
LINEAR, POOL, STEP = "linear: {units: 4}", "max_pool2d: {kernel_size: 2}", "step: {step_epochs: 2}"
SGD, TRAIN, NAME = "sgd: {lr: 0.1, momentum: 0.9, nesterov: true}", "epochs: 2,", "name: mnist,"

# (what stands in GOOD, what replaces it, what the message must say, in this order)
ROWS: list[tuple[str, str, list[str]]] = [
    # keys
    ("seed: 1", "sede: 1", ["c.yaml:1:1: sede: expected one of seed,", "got 'sede'", "'seed'?"]),
    (SGD, "sgd: {learning_rate: 1}", ["c.yaml:13:19: optimizer.sgd.learning_rate:", "'lr'?"]),
    ("filters: 8", "filtres: 8", ["c.yaml:7:16: model.layers.0.conv2d.filtres:", "'filters'?"]),
    (TRAIN, "epoch: 2,", ["c.yaml:15:9: train.epoch: expected one of epochs,", "'epochs'?"]),
    ("batch_norm2d", "batch_norm2d: {eps: 1, mom: 2}", [".batch_norm2d.mom:", "momentum, eps,"]),
    (
        "flatten",
        "flatten: {order: C}",
        ["c.yaml:12:17: model.layers.4.flatten.order: expected one"],
    ),
    ("train:", "full_batch: true\ntrain:", ["c.yaml:15:1: full_batch: expected one of"]),
    # what is missing
    ("filters: 8, ", "", ["c.yaml:7:7: model.layers.0.conv2d: required key 'filters' is missing"]),
    (CONV, "conv2d", ["c.yaml:7:7: model.layers.0.conv2d: required", "'filters'", "'kernel_size'"]),
    ("name: mnist, ", "", ["c.yaml:3:1: data: required key 'name' is missing", "digits, mnist"]),
    (f"optimizer: {{{SGD}}}\n", "", ["c.yaml:1:1: required key 'optimizer' is missing"]),
    ("  input: [1, 28, 28]\n", "", ["c.yaml:4:1: model: required key 'input' is missing"]),
    ("lr: 0.1, ", "", ["c.yaml:13:13: optimizer.sgd: required key 'lr' is missing"]),
    (
        "{step: {step_epochs: 2}}",
        "exponential",
        ["c.yaml:14:11: schedule.exponential: required key 'gamma' is missing"],
    ),
    (NAME, "name: npz,", ["c.yaml:3:1: data: required key 'path' is missing"]),
    (NAME, "name: image_folder, root: x,", ["c.yaml:3:1: data: required key 'size' is missing"]),
    # types are exact
    ("filters: 8", "filters: '8'", ["c.yaml:7:25:", "an integer from 1", "got the string '8'"]),
    ("filters: 8", "filters: true", ["c.yaml:7:25: model.layers.0.conv2d.filters:", "got true"]),
    ("filters: 8", "filters: 8.0", ["c.yaml:7:25:", "expected an integer from 1", "got 8.0"]),
    ("filters: 8", "filters: 0", ["c.yaml:7:25:", "expected an integer from 1", "got 0"]),
    ("filters: 8", "filters: 2147483648", ["c.yaml:7:25:", "to 2147483647", "got 2147483648"]),
    ("filters: 8", "filters: 1_000", ["c.yaml:7:25:", "got the string '1_000'"]),
    ("filters: 8", "filters: 010", ["c.yaml:7:25:", "got the string '010'"]),
    ("filters: 8", "filters: [8]", ["c.yaml:7:25:", "got [8]"]),
    ("filters: 8", "filters:", ["model.layers.0.conv2d.filters:", "got null"]),
    (
        "lr: 0.1",
        "lr: '0.1'",
        ["c.yaml:13:23: optimizer.sgd.lr: expected a number >= 0, got the str"],
    ),
    ("lr: 0.1", "lr: true", ["c.yaml:13:23: optimizer.sgd.lr: expected a number >= 0, got true"]),
    ("lr: 0.1", "lr: .nan", ["expected a number >= 0, got .nan"]),
    ("lr: 0.1", "lr: -.inf", ["expected a number >= 0, got -.inf"]),
    ("lr: 0.1", "lr: 1e999", ["expected a number >= 0, got .inf"]),
    ("lr: 0.1", "lr: -0.1", ["expected a number >= 0, got -0.1"]),
    ("lr: 0.1", f"lr: {'9' * 400}", ["expected a number >= 0, got an integer of 1329 bits"]),
    ("nesterov: true", "nesterov: yes", ["c.yaml:13:53:", "expected true or false", "'yes'"]),
    ("nesterov: true", "nesterov: 1", ["optimizer.sgd.nesterov: expected true or false, got 1"]),
    ("[1, 28, 28]", "[28, 28]", ["c.yaml:5:10: model.input: expected [channels, height, width]"]),
    ("[1, 28, 28]", "[1, 0, 28]", ["model.input: expected [channels", "got [1, 0, 28]"]),
    ("seed: 1", "seed: -1", ["c.yaml:1:7: seed: expected an integer from 0 to 2**64 - 1, got -1"]),
    ("seed: 1", f"seed: {2**64}", [f"from 0 to 2**64 - 1, got {2**64}"]),
    ("device: cpu", "device: gpu", ["c.yaml:2:9: device: expected cpu, cuda,", "'cuda'?"]),
    ("device: cpu", "device: cuda:x", ["c.yaml:2:9: device: expected cpu, cuda, cuda:N"]),
    # layers and other choices
    ("- flatten", "- flaten", ["c.yaml:12:7: model.layers.4: expected a layer (", "'flatten'?"]),
    (
        POOL,
        "maxpool2d: {kernel_size: 2}",
        ["c.yaml:11:7: model.layers.3.maxpool2d:", "'max_pool2d'?"],
    ),
    (POOL, "max_pool2d: 2", ["c.yaml:11:19:", "such as `max_pool2d: {kernel_size: ...}`, got 2"]),
    (
        "- flatten",
        "- flatten:",
        ["model.layers.4.flatten: expected a mapping", "`flatten`", "null"],
    ),
    ("- flatten", "- 3", ["c.yaml:12:7: model.layers.4: expected a layer: a name or", "got 3"]),
    ("- flatten", "- {}", ["c.yaml:12:7: model.layers.4: expected a layer: a name or", "got {}"]),
    (
        "- flatten",
        "- [relu]",
        ["c.yaml:12:7: model.layers.4: expected a layer: a name", "['relu']"],
    ),
    (
        "- flatten",
        "- dropout:\n      rate: 0.5",
        [
            "c.yaml:13:7: model.layers.4.rate: expected a layer with one key",
            "indent 'rate' below 'dropout'",
        ],
    ),
    ("units: 4", "units: x", ["c.yaml:10:39: model.layers.2.residual.body.1.linear.units: exp"]),
    ("[relu, {linear: {units: 4}}]", "[]", ["c.yaml:10:15: model.layers.2.residual.body:", "one"]),
    (LINEAR, "concat: {branches: [relu]}", [".body.1.concat.branches.0: expected a list, got"]),
    (LINEAR, "concat: {branches: [[rel]]}", [".concat.branches.0.0: expected a layer", "'relu'?"]),
    (SGD, "sdg: {lr: 1}", ["c.yaml:13:13: optimizer.sdg: expected an optimizer", "'sgd'?"]),
    (
        "{step: {step_epochs: 2}}",
        "cosin",
        ["c.yaml:14:11: schedule: expected a schedule (constant,", "'cosine'?"],
    ),
    (
        "train:",
        "loss: mse\ntrain:",
        ["c.yaml:15:7: loss: expected a loss", "'mean_squared_error'?"],
    ),
    (
        FLIP,
        "[flip]",
        ["c.yaml:3:47: data.augment.0: expected an augmentation", "'horizontal_flip'?"],
    ),
    (FLIP, "[rotation: {degrees: 0}]", ["data.augment.0.rotation.degrees:", "(0, 180], got 0"]),
    (FLIP, "horizontal_flip", ["data.augment: expected a list, got the string 'horizontal_flip'"]),
    # a layer's own rules
    ("padding: 1", "padding: sam", ["c.yaml:7:53:", "same or valid, got", "'same'?"]),
    ("padding: 1", "padding: -1", ["conv2d.padding: expected an integer >= 0", "got -1"]),
    ("padding: 1", "padding: [[1, 1], 2]", ["[[top, bottom], [left, right]]", "got [[...], 2]"]),
    ("kernel_size: 3", "kernel_size: [3]", ["c.yaml:7:41:", "a pair [height, width]", "got [3]"]),
    (
        "padding: 1",
        "init: he_norm",
        ["c.yaml:7:50:", "one of he_normal, he_uniform", "'he_normal'?"],
    ),
    ("padding: 1", "rounding: up", ["conv2d.rounding: expected strict, floor or null"]),
    ("padding: 1", "name: ''", ["conv2d.name: expected a name that is not empty, or null"]),
    ("padding: 1", "lr_scale: -1", ["conv2d.lr_scale: expected a number >= 0, got -1"]),
    (POOL, "max_pool2d: {kernel_size: 2, padding: same}", ["max_pool2d.padding: expected an int"]),
    (POOL, "max_pool2d: {kernel_size: 2, tie_break: row}", ["expected one of row_major, column"]),
    (POOL, "lp_pool2d: {kernel_size: 2, p: 0.5}", ["lp_pool2d.p: expected a number >= 1, got 0.5"]),
    ("- flatten", "- dropout: {rate: 1}", ["dropout.rate: expected a number in [0, 1), got 1"]),
    ("- flatten", "- drop_block2d: {rate: 0.1}", ["required key 'block_size' is missing"]),
    ("batch_norm2d", "batch_norm2d: {eps: 0}", ["batch_norm2d.eps: expected a number > 0, got 0"]),
    # losses, optimizers, schedules
    (
        "momentum: 0.9",
        "momentum: 0",
        ["c.yaml:13:51: optimizer.sgd.nesterov: expected momentum > 0"],
    ),
    ("momentum: 0.9", "momentum: 1.0", ["optimizer.sgd.momentum: expected a number in [0, 1)"]),
    (SGD, "adam: {lr: 1, beta1: 1}", ["optimizer.adam.beta1: expected a number in [0, 1), got 1"]),
    (STEP, "step: {step_epochs: 0}", ["schedule.step.step_epochs: expected an integer from 1"]),
    (
        STEP,
        "multistep: {milestones: [3, 2]}",
        ["milestones: expected increasing epochs, got [3, 2]"],
    ),
    (STEP, "multistep: {milestones: []}", ["milestones: expected a list of epochs", "got []"]),
    (STEP, "cosine: {warmup_epochs: -1}", ["cosine.warmup_epochs: expected a number >= 0, got -1"]),
    (STEP, "one_cycle: {peak_fraction: 1}", ["peak_fraction: expected a number between 0 and 1"]),
    (
        "train:",
        "loss: {softmax_cross_entropy: {label_smoothing: 1}}\ntrain:",
        ["c.yaml:15:49: loss.softmax_cross_entropy.label_smoothing: expected a number in [0, 1)"],
    ),
    # data
    (NAME, "name: mnst,", ["c.yaml:3:14: data.name: expected one of digits, mnist,", "'mnist'?"]),
    (NAME, "name: 3,", ["c.yaml:3:14: data.name: expected one of digits", "got 3"]),
    ("batch_size: 32", "size: [8, 8]", ["c.yaml:3:21: data.size:", "set mnist", "of image_folder"]),
    (NAME, "name: digits, root: x,", ["data.root: expected a key of the set digits", "mnist,"]),
    ("batch_size: 32", "batch_sise: 2", ["c.yaml:3:21: data.batch_sise:", "'batch_size'?"]),
    ("batch_size: 32", "batch_size: 0", ["data.batch_size: expected an integer from 1", "got 0"]),
    ("batch_size: 32", "batch_size: al", [", or all, got the string 'al'", "mean 'all'?"]),
    ("batch_size: 32", "validation: 1", ["data.validation: expected a number in [0, 1), got 1"]),
    ("batch_size: 32", "validation: 0", ["c.yaml:15:36: train.early_stopping:", "data.validation"]),
    ("batch_size: 32", "resident: 1", ["data.resident: expected auto, true or false, got 1"]),
    ("batch_size: 32", "resident: gpu", ["data.resident: expected auto, true or false"]),
    ("batch_size: 32", "normalize: 3", ["data.normalize: expected true, false or {mean:", "got 3"]),
    ("batch_size: 32", "normalize: {mean: [0]}", ["data.normalize: required key 'std' is missing"]),
    ("batch_size: 32", "normalize: {mean: [0, 0], std: [1]}", ["data.normalize.std: expected as"]),
    ("batch_size: 32", "normalize: {mean: [0], std: [0]}", ["normalize.std: expected a list of"]),
    (
        "batch_size: 32",
        "normalize: {mean: [0, 0], std: [1, 1]}",
        ["c.yaml:3:39: data.normalize.mean: expected 1 value(s), one a channel of model.input"],
    ),
    (NAME, "name: synthetic, image: [8, 8],", ["data.image: expected [channels, height, width]"]),
    (NAME, "name: synthetic, samples: 5,", ["data.samples: expected at least one a class (10)"]),
    (
        NAME,
        "name: image_folder, root: x, size: [8, 8], channels: 4,",
        ["data.channels: expected 1"],
    ),
    ("batch_size: 32", 'root: "a\\0b"', ["data.root: expected a path, got the string 'a\\x00b'"]),
    # train and the rest
    (TRAIN, "epochs: 0,", ["c.yaml:15:17: train.epochs: expected an integer from 1", "got 0"]),
    (TRAIN, "max_iterations: 0,", ["train.max_iterations: expected an integer >= 1 or null"]),
    (TRAIN, "epsilon: 0,", ["train.epsilon: expected a number > 0 or null, got 0"]),
    (TRAIN, "clip_norm: 0,", ["train.clip_norm: expected a number > 0 or null, got 0"]),
    (TRAIN, "ema: 1,", ["train.ema: expected a decay between 0 and 1, or null, got 1"]),
    (TRAIN, "cuda_graph: 1,", ["train.cuda_graph: expected auto, true or false, got 1"]),
    (TRAIN, "cuda_graph: on_gpu,", ["train.cuda_graph: expected auto, true or false"]),
    (TRAIN, "log_every: 0,", ["train.log_every: expected an integer from 1"]),
    (
        "early_stopping: 3",
        "early_stopping: 0",
        ["train.early_stopping: expected null, a number of"],
    ),
    ("early_stopping: 3", "early_stopping: true", ["train.early_stopping: expected null", "true"]),
    ("early_stopping: 3", "early_stopping: {min_delta: 1}", ["required key 'patience' is missing"]),
    (
        "train: {epochs: 2, early_stopping: 3}",
        "train: 2",
        ["train: expected a mapping of keys, got 2"],
    ),
    ("train:", "output: ''\ntrain:", ["c.yaml:15:9: output: expected a path, got the string ''"]),
    ("train:", "model_: 1\ntrain:", ["c.yaml:15:1: model_: expected one of", "'model'?"]),
]


@pytest.mark.parametrize(("old", "new", "fragments"), ROWS, ids=[row[1][:40] for row in ROWS])
def test_says_what_and_where(old: str, new: str, fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(broken(old, new), name="c.yaml")
    message = str(caught.value)
    assert message.startswith("c.yaml:")
    at = 0
    for fragment in fragments:
        assert fragment in message[at:], message
        at = message.index(fragment, at) + len(fragment)


def test_no_layers() -> None:
    text = GOOD[: GOOD.index("  layers:")] + "  layers: []\n" + GOOD[GOOD.index("optimizer:") :]
    with pytest.raises(ConfigError, match=r"^c\.yaml:6:11: model\.layers: expected at least one"):
        parse_config(text, name="c.yaml")


def test_all_faults_at_once_but_not_more_than_twenty() -> None:
    text = broken("filters: 8", "filters: x").replace("lr: 0.1", "lr: y")
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="c.yaml")
    first, second = str(caught.value).split("\n")
    assert "conv2d.filters" in first
    assert "sgd.lr" in second

    with pytest.raises(ConfigError) as caught:
        parse_config(broken("    - flatten\n", "    - x\n" * 30), name="c.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more"
