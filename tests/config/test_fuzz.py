"""Whatever stands in a config or an override: a Config or one clear ConfigError comes out."""

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.config import Config, dump_config, load_config, parse_config
from gpucnn.config.layers import LAYERS
from gpucnn.errors import ConfigError
from tests.config.sample import GOOD

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from([*LAYERS, "sgd", "layers", "body", "name", "lr", "mean", "@x", "<<", "0"])
ANYTHING = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    ),
    max_leaves=12,
)
# Text that looks like YAML more often than not.
SIGNS = st.sampled_from([*"[]{}:,-?|>!&*#%@'\"\\ \n\t", "---\n", "a: ", "- ", "1e5", "<<", "\\u"])
YAMLISH = st.lists(SIGNS | st.text(max_size=3), max_size=40).map("".join)
# As command line arguments can have it: with surrogates, for bytes that are not UTF-8.
ARGUMENT = st.text(st.characters())


def parse(text: str, overrides: tuple[str, ...] = ()) -> Config | None:
    try:
        return parse_config(text, name="c", overrides=overrides)
    except ConfigError as error:
        lines = str(error).split("\n")
        assert 1 <= len(lines) <= 21
        assert all(
            line.isprintable() and line.startswith(("c:", "--set ", "...")) for line in lines
        )
        return None


@given(st.text() | YAMLISH)
def test_any_text(text: str) -> None:
    parse(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_bytes(data)
        try:
            load_config(path)
        except ConfigError:
            return


@given(ANYTHING)
def test_any_structure(data: Any) -> None:
    parse(json.dumps(data))


def places(data: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every part of a structure."""
    if not isinstance(data, (dict, list)):
        return []
    steps = list(data) if isinstance(data, dict) else range(len(data))
    return [found for step in steps for found in [(data, step), *places(data[step])]]


@given(st.data(), ANYTHING)
def test_any_structure_anywhere_in_a_good_config(draw: st.DataObject, value: Any) -> None:
    data = yaml.safe_load(GOOD)
    container, step = draw.draw(st.sampled_from(places(data)))
    container[step] = value
    config = parse(json.dumps(data))
    if config is not None:
        assert parse_config(dump_config(config)) == config


PARTS = WORDS | st.sampled_from(["model", "optimizer", "train", "data", "augment", "1"]) | ARGUMENT


@given(st.lists(PARTS, min_size=1, max_size=6).map(".".join), YAMLISH | ANYTHING.map(json.dumps))
def test_any_override(path: str, value: str) -> None:
    parse(GOOD, overrides=(f"{path}={value}",))


@given(ARGUMENT)
def test_any_text_as_override(override: str) -> None:
    parse(GOOD, overrides=(override,))
