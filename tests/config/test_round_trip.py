"""What is saved of a config reads back as the same config."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.config import Config, Normalize, Spec, dump_config, parse_config
from tests.config.sample import GOOD

# JSON is YAML, written by someone else; astral characters are surrogate pairs in it.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1)
SIZE = st.integers(1, 2**31 - 1)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
RATE = st.floats(0, 1, exclude_max=True)
PATHS = TEXT.filter(lambda text: "\0" not in text)


def keys(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    shared = {"name": TEXT | st.none(), "lr_scale": POSITIVE, "frozen": st.booleans()}
    return st.fixed_dictionaries(required, optional=optional | shared)


def named(kind: str, options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return options.map(lambda keys: {kind: keys})


PAIR = SIZE | st.lists(SIZE, min_size=2, max_size=2)
SIDES = st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=2, max_size=2)
LEAVES = st.one_of(
    st.sampled_from(["relu", "flatten", "batch_norm2d", "softmax"]),
    named(
        "conv2d",
        keys(
            {"filters": SIZE, "kernel_size": PAIR},
            padding=st.sampled_from(["same", "valid"]) | SIDES | st.integers(0, 9),
            bias=st.booleans(),
            rounding=st.sampled_from(["strict", "floor", None]),
        ),
    ),
    named("max_pool2d", keys({"kernel_size": PAIR}, stride=PAIR | st.none())),
    named("dropout", keys({"rate": RATE})),
    named("leaky_relu", keys({}, negative_slope=st.floats(-1, 1))),
)
LAYERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        named("sequential", keys({"layers": st.lists(inner, max_size=3)})),
        named(
            "residual",
            keys(
                {"body": st.lists(inner, min_size=1, max_size=3)},
                shortcut=st.lists(inner, max_size=2),
            ),
        ),
        named("concat", keys({"branches": st.lists(st.lists(inner, max_size=2), min_size=1)})),
    ),
    max_leaves=6,
)
CONFIGS = st.fixed_dictionaries(
    {
        "data": st.one_of(
            st.fixed_dictionaries(
                {"name": st.just("digits")}, optional={"batch_size": SIZE | st.just("all")}
            ),
            st.fixed_dictionaries({"name": st.just("npz"), "path": PATHS}),
            st.fixed_dictionaries({"name": st.just("mnist"), "root": PATHS, "validation": RATE}),
        ),
        "model": st.fixed_dictionaries(
            {"input": st.just([1, 8, 8]), "layers": st.lists(LAYERS, min_size=1, max_size=4)}
        ),
        "optimizer": named("adam", st.fixed_dictionaries({"lr": POSITIVE, "eps": POSITIVE})),
    },
    optional={
        "seed": st.integers(0, 2**64 - 1),
        "output": PATHS,
        "train": st.fixed_dictionaries({"epochs": SIZE}, optional={"epsilon": POSITIVE}),
    },
)


@given(CONFIGS)
def test_reloads_equal(data: dict[str, Any]) -> None:
    config = parse_config(json.dumps(data))
    assert parse_config(dump_config(config)) == config


def test_everything_is_written_out_and_readable() -> None:
    text = dump_config(parse_config(GOOD, name="configs/sample.yaml"))
    assert "  augment:\n    - horizontal_flip: {probability: 0.5}\n" in text
    assert "  input: [1, 28, 28]\n" in text
    assert "    - conv2d:\n        filters: 8\n        kernel_size: 3\n        stride: 1\n" in text
    assert "    - flatten: {name: null, lr_scale: 1.0, frozen: false}\n" in text
    assert "loss:\n  softmax_cross_entropy: {label_smoothing: 0.0, reduction: mean}\n" in text
    assert "  early_stopping: {patience: 3, min_delta: 0.0}\n" in text
    assert text.endswith("output: runs/sample\n")
    assert "&" not in text


def test_defaults() -> None:
    config = parse_config(
        "data: {name: cifar10}\nmodel: {input: [3, 32, 32], layers: [flatten]}\n"
        "optimizer: {adamw: {lr: 1e-3}}\n"
    )
    assert (config.seed, config.device, config.output) == (0, "cpu", "runs/config")
    data = config.data
    assert (data.root, data.download, data.options) == ("data/cifar10", False, {})
    assert (data.batch_size, data.validation, data.augment) == (64, 0.1, [])
    assert (data.drop_last, data.normalize, data.resident) == (False, True, "auto")
    assert config.model.rounding == "strict"
    assert config.model.layers == [
        Spec("flatten", {"name": None, "lr_scale": 1.0, "frozen": False})
    ]
    assert config.loss == Spec(
        "softmax_cross_entropy", {"label_smoothing": 0.0, "reduction": "mean"}
    )
    assert config.optimizer.options["weight_decay"] == 0.01
    assert config.schedule == Spec("constant", {"warmup_epochs": 0.0})
    train = config.train
    assert (train.epochs, train.log_every, train.cuda_graph) == (10, 50, "auto")
    assert [
        getattr(train, key)
        for key in ("max_iterations", "epsilon", "early_stopping", "clip_norm", "ema")
    ] == [None] * 5


@pytest.mark.parametrize(
    ("data", "root", "options"),
    [
        ("{name: digits}", None, {}),
        ("{name: npz, path: a.npz}", None, {"path": "a.npz"}),
        (
            "{name: image_folder, root: x, size: [8, 9]}",
            "x",
            {"size": [8, 9], "channels": 3},
        ),
        ("{name: synthetic}", None, {"samples": 1000, "classes": 10, "image": [1, 8, 8]}),
        ("{name: fashion_mnist, root: y}", "y", {}),
    ],
)
def test_data_sets(data: str, root: str | None, options: dict[str, Any]) -> None:
    config = parse_config(GOOD, overrides=[f"data={data}"])
    assert (config.data.root, config.data.options) == (root, options)
    assert parse_config(dump_config(config)) == config


def test_an_integer_is_a_number_but_stays_no_integer() -> None:
    config = parse_config(GOOD, overrides=["optimizer.sgd.lr=1"])
    assert type(config.optimizer.options["lr"]) is float


def test_normalize_statistics() -> None:
    config = parse_config(GOOD, overrides=["data.normalize={mean: [1], std: [2e-1]}"])
    assert config.data.normalize == Normalize(mean=[1.0], std=[0.2])
    assert parse_config(dump_config(config)) == config


def test_models_are_frozen() -> None:
    config = parse_config(GOOD)
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "odd", ["\x85", "a\u2028b", "\u2029", " a ", "1e-3", "a: b", "\n", "\ufeffa"]
)
def test_odd_paths_reload_equal(odd: str) -> None:
    config = parse_config(GOOD).model_copy(update={"output": odd})
    assert parse_config(dump_config(config)) == config
