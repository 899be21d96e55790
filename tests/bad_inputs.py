"""Every mistake a user can make at the command line, for test_bad_input: a row breaks one rule.

The id names the rule; the command runs on bad.yaml where a text is given for it, else on good.yaml;
each fragment must be in the message. (The readers, layers and Ops have such tables of their own
beside their tests.)
"""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from gpucnn.training.checkpoint import decode_checkpoint, encode_checkpoint

GOOD = """\
data: {name: digits, batch_size: 100}
model:
  input: [1, 8, 8]
  layers:
    - conv2d: {filters: 2, kernel_size: 3, padding: 1}
    - relu
    - max_pool2d: {kernel_size: 2}
    - flatten
    - linear: {units: 10}
optimizer: {sgd: {lr: 0.1}}
train: {epochs: 1, max_iterations: 2}
"""


def broken(old: str, new: str) -> str:
    """The good config with one change."""
    assert old in GOOD
    return GOOD.replace(old, new)


def npz(**arrays: object) -> bytes:
    """An .npz file with these arrays."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


X = np.zeros((20, 1, 8, 8), np.uint8)
Y = np.arange(20, dtype=np.int32) % 10
NPZ = broken("name: digits", "name: npz, path: data.npz")

CONFIGS: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["bad.yaml:1", "expected a config"]),
    "a list": ("- 1\n", ["bad.yaml:1", "expected a config"]),
    "not yaml": ("data: {name: digits\n", ["bad.yaml:"]),
    "a tab": ("data:\n\tname: digits\n", ["bad.yaml:2"]),
    "a key twice": (GOOD + "seed: 1\nseed: 2\n", ["bad.yaml:13", "seed"]),
    "a section left out": (broken("optimizer: {sgd: {lr: 0.1}}\n", ""), ["optimizer"]),
    "an unknown section": (GOOD + "trian: {epochs: 1}\n", ["bad.yaml:12", "trian", "train"]),
    "an unknown key": (broken("batch_size", "batchsize"), ["bad.yaml:1", "batch_size"]),
    "an unknown data set": (broken("digits", "digit"), ["data.name", "digits"]),
    "a key of another set": (broken("name: digits", "name: digits, samples: 5"), ["synthetic"]),
    "batch size 0": (broken("100", "0"), ["data.batch_size", "from 1", "got 0"]),
    "validation of 1": (broken("100", "100, validation: 1.0"), ["data.validation"]),
    "an unknown layer": (broken("max_pool2d", "maxpool2d"), ["model.layers.2", "max_pool2d"]),
    "an unknown layer key": (broken("filters", "filter"), ["conv2d", "filters"]),
    "a key left out": (broken("{units: 10}", "{}"), ["bad.yaml:9", "linear", "units"]),
    "a fraction of a filter": (broken("filters: 2", "filters: 2.5"), ["filters", "2.5"]),
    "a word for a number": (broken("kernel_size: 3", "kernel_size: big"), ["kernel_size", "big"]),
    "no layers": (GOOD.split("  layers:")[0] + "  layers: []\n", ["model.layers"]),
    "input of rank 2": (broken("[1, 8, 8]", "[8, 8]"), ["model.input"]),
    "a negative rate": (broken("lr: 0.1", "lr: -0.1"), ["optimizer.sgd.lr", "-0.1"]),
    "an infinite rate": (broken("lr: 0.1", "lr: .inf"), ["optimizer.sgd.lr"]),
    "an unknown optimizer": (broken("sgd", "sdg"), ["optimizer", "sgd"]),
    "an unknown loss": (GOOD + "loss: cross_entropy\n", ["loss", "softmax_cross_entropy"]),
    "an unknown schedule": (GOOD + "schedule: cosin\n", ["schedule", "cosine"]),
    "an unknown device": (GOOD + "device: gpu\n", ["device", "gpu"]),
    "a negative seed": (GOOD + "seed: -1\n", ["seed", "-1"]),
    "no epochs": (broken("epochs: 1", "epochs: 0"), ["train.epochs"]),
    "early stopping, no validation": (
        broken("100", "100, validation: 0").replace("epochs: 1", "epochs: 1, early_stopping: 2"),
        ["early_stopping", "data.validation"],
    ),
}
SHAPES: dict[str, tuple[str, list[str]]] = {
    "a window that does not tile": (
        broken("padding: 1}", "stride: 2}"),
        ["model.layers.0", "does not tile", "Settings that work", "rounding: floor"],
    ),
    "a window larger than the image": (
        broken("kernel_size: 3, padding: 1", "kernel_size: 9"),
        ["model.layers.0", "9"],
    ),
    "groups that do not divide": (
        broken("padding: 1}", "padding: 1, groups: 2}"),
        ["model.layers.0", "groups"],
    ),
    "linear on images": (broken("    - flatten\n", ""), ["model.layers.3", "linear", "flatten"]),
    "conv2d on vectors": (
        GOOD.replace("    - linear", "    - conv2d: {filters: 1, kernel_size: 1}\n    - linear"),
        ["model.layers.4", "conv2d"],
    ),
    "branches that do not fit": (
        broken("    - relu", "    - residual: {body: [{conv2d: {filters: 3, kernel_size: 1}}]}"),
        ["model.layers.1", "body", "shortcut"],
    ),
}
DATA: dict[str, tuple[str, bytes | None, list[str]]] = {
    "outputs that are not the classes": (broken("units: 10", "units: 9"), None, ["9", "10"]),
    "an input that is not the images": (
        broken("[1, 8, 8]", "[1, 16, 16]"),
        None,
        ["model.input", "[1, 16, 16]", "[1, 8, 8]"],
    ),
    "mnist that is not there": (
        broken("name: digits", "name: mnist, root: nowhere").replace("8, 8", "28, 28"),
        None,
        ["nowhere", "gpucnn download-data mnist"],
    ),
    "an image folder that is not there": (
        broken("name: digits", "name: image_folder, root: nowhere, size: [8, 8], channels: 1"),
        None,
        ["nowhere"],
    ),
    "an npz that is not there": (NPZ, None, ["data.npz"]),
    "an npz that is none": (NPZ, b"these are no arrays", ["data.npz"]),
    "an npz cut short": (NPZ, npz(x_train=X, y_train=Y, x_test=X, y_test=Y)[:300], ["data.npz"]),
    "an npz without labels": (NPZ, npz(x_train=X, x_test=X, y_test=Y), ["data.npz", "y_train"]),
    "labels for other images": (
        NPZ,
        npz(x_train=X, y_train=Y[:-1], x_test=X, y_test=Y),
        ["data.npz", "20", "19"],
    ),
    "a label below 0": (NPZ, npz(x_train=X, y_train=Y - 1, x_test=X, y_test=Y), ["data.npz"]),
    "pickled objects": (
        NPZ,
        npz(x_train=np.array([{}]), y_train=Y, x_test=X, y_test=Y),
        ["data.npz", "allow_pickle=False"],
    ),
}


def damaged(change: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Change the bytes of the run's checkpoints."""

    def prepare() -> None:
        for file in Path("run/checkpoints").iterdir():
            file.write_bytes(change(file.read_bytes()))

    return prepare


def flipped(data: bytes) -> bytes:
    """One bit of the last tensor changed."""
    return data[:-1] + bytes([data[-1] ^ 1])


def with_config(data: bytes) -> bytes:
    """The checkpoint of a model with more filters, its tensors as they were."""
    checkpoint = decode_checkpoint(data)
    config = checkpoint.config.replace("filters: 2", "filters: 3")
    assert config != checkpoint.config
    return encode_checkpoint(checkpoint.__class__(**{**vars(checkpoint), "config": config}))


def with_strange_config(data: bytes) -> bytes:
    """A checkpoint whose config another version wrote."""
    checkpoint = decode_checkpoint(data)
    config = checkpoint.config + "precision: bfloat16\n"
    return encode_checkpoint(checkpoint.__class__(**{**vars(checkpoint), "config": config}))


def nothing() -> None:
    """No preparation: the files of every workspace are enough."""


def arrays(**values: object) -> Callable[[], None]:
    """Write them to data.npz."""

    def prepare() -> None:
        Path("data.npz").write_bytes(npz(**values))

    return prepare


def text(name: str, content: bytes) -> Callable[[], None]:
    """Write a file."""

    def prepare() -> None:
        Path(name).write_bytes(content)

    return prepare


COMMANDS: dict[str, tuple[str, Callable[[], None], list[str]]] = {
    # arguments
    "no command": ("", nothing, ["name a command", "gpucnn --help"]),
    "an unknown command": ("fly", nothing, ["fly", "train"]),
    "an unknown option": ("train good.yaml --epochs 3", nothing, ["--epochs 3"]),
    "an option cut short": ("train good.yaml --dev cpu", nothing, ["--dev"]),
    "train without a config": ("train", nothing, ["CONFIG", "--resume"]),
    "check without a config": ("check", nothing, ["CONFIG", "gpucnn check --help"]),
    "two configs": ("train good.yaml good.yaml", nothing, ["unrecognized", "good.yaml"]),
    "--set without a value": ("check good.yaml --set seed", nothing, ["seed", "="]),
    "--set of nothing": ("check good.yaml --set", nothing, ["--set", "expected one argument"]),
    "--set of an unknown key": (
        "check good.yaml --set train.epoch=3",
        nothing,
        ["train.epoch", "epochs"],
    ),
    "--set beyond the last layer": (
        "check good.yaml --set model.layers.9.linear.units=3",
        nothing,
        ["model.layers.9"],
    ),
    "--set of a bad value": (
        "check good.yaml --set train.epochs=many",
        nothing,
        ["train.epochs", "many"],
    ),
    "--device of no such kind": ("train good.yaml --device gpu", nothing, ["--device", "gpu"]),
    "evaluate without a run": ("evaluate", nothing, ["RUN"]),
    "predict without files": ("predict run", nothing, ["FILE"]),
    "predict the best 0": (
        "predict run data.npz --top 0",
        arrays(x=X),
        ["--top", "at least 1", "0"],
    ),
    "predict the best x": ("predict run data.npz --top x", arrays(x=X), ["--top", "'x'"]),
    "download without a name": ("download-data", nothing, ["NAME"]),
    "download what is unknown": ("download-data mnits", nothing, ["mnits", "mnist"]),
    "download what is inside": ("download-data digits", nothing, ["digits", "no download"]),
    "schema of something": ("schema good.yaml", nothing, ["unrecognized", "good.yaml"]),
    # files that are not what they should be
    "a config that is not there": ("train god.yaml", nothing, ["god.yaml", "good.yaml"]),
    "a config that is a folder": ("check run", nothing, ["run", "directory"]),
    "a config that is not UTF-8": (
        "check bad.yaml",
        text("bad.yaml", GOOD.encode() + "# é".encode("latin-1")),
        ["bad.yaml:12:3", "UTF-8", "0xe9"],
    ),
    "a run that is not there": ("evaluate nowhere", nothing, ["nowhere", "does not exist"]),
    "a run that is a config": ("evaluate good.yaml", nothing, ["good.yaml", "safetensors"]),
    "a folder that is no run": ("evaluate empty", nothing, ["empty", "no checkpoint"]),
    "arrays that are not there": ("predict run no.npz", nothing, ["no.npz"]),
    "arrays of another size": (
        "predict run data.npz",
        arrays(x=np.zeros((1, 1, 9, 9), np.uint8)),
        ["data.npz", "(1, 9, 9)", "(1, 8, 8)"],
    ),
    "two arrays, none named": ("predict run data.npz", arrays(a=X, b=X), ["data.npz", "images"]),
    "one good file, one bad": ("predict run data.npz no.npz", arrays(x=X), ["no.npz"]),
    # the run folder
    "an output that holds a run": ("train good.yaml --output run", nothing, ["run", "--resume"]),
    "an output below a file": ("train good.yaml --output good.yaml/x", nothing, ["good.yaml"]),
    "an output that is a file": ("train good.yaml --output good.yaml", nothing, ["good.yaml"]),
    "resume what is not there": ("train good.yaml --resume no", nothing, ["no does not exist"]),
    "resume what is no run": ("train --resume empty", nothing, ["empty", "last.safetensors"]),
    "resume with another rate": (
        "train good.yaml --resume run --set optimizer.sgd.lr=0.2",
        nothing,
        ["optimizer.sgd.lr", "0.1", "0.2"],
    ),
    "resume with another model": (
        "train --resume run --set model.layers.0.conv2d.filters=4",
        nothing,
        ["model.layers.0.conv2d.filters", "2", "4"],
    ),
    "resume into another run": (
        "train --resume run --output other",
        lambda: shutil.copytree("run", "other") and None,
        ["other", "already holds a run"],
    ),
    # checkpoints
    "a checkpoint cut short": ("evaluate run", damaged(lambda b: b[:-9]), ["truncated"]),
    "an empty checkpoint": ("evaluate run", damaged(lambda b: b""), ["best.safetensors"]),
    "a checkpoint of noise": ("evaluate run", damaged(lambda b: b"x" * 99), ["safetensors"]),
    "a checkpoint with a bit flipped": ("evaluate run", damaged(flipped), ["checksum"]),
    "another program's tensors": (
        "evaluate run",
        damaged(lambda b: save({"x": np.zeros(3)})),
        ["not a checkpoint of this version"],
    ),
    "the tensors of another model": ("evaluate run", damaged(with_config), ["another model"]),
    "the config of another version": (
        "evaluate run",
        damaged(with_strange_config),
        ["best.safetensors", "precision"],
    ),
    "resume from a damaged one": ("train --resume run", damaged(flipped), ["last.safetensors"]),
    # environment
    "cuda without a GPU": (
        "train good.yaml --device cuda",
        nothing,
        ["device 'cuda' is not available", "--device cpu"],
    ),
    "evaluate on cuda without a GPU": ("evaluate run --device cuda:1", nothing, ["'cuda:1'"]),
}


PICTURES: dict[str, tuple[str, list[str]]] = {
    "not there": ("predict run no.png", ["no.png", "No such file"]),
    "text": ("predict run good.yaml", ["good.yaml is not a readable image"]),
    "a folder": ("predict run run", ["run is not a readable image"]),
}
