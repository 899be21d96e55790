"""The JSON schema that editors use agrees with the loader.

The checker below knows the keywords that the schema uses, and refuses any other.
"""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpucnn.config import dump_config, json_schema, load_config
from gpucnn.config.layers import LAYERS
from gpucnn.config.source import read_source
from tests.config.sample import GOOD, broken

CONFIGS = sorted(
    path
    for path in (Path(__file__).parents[2] / "configs").glob("*.yaml")
    if path.stem != "benchmark_shapes"  # a table of shapes
)
SCHEMA = json_schema()
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
NOTES = {"$defs", "$schema", "default", "description", "title", "discriminator"}


def is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


def valid(value: Any, schema: dict[str, Any]) -> bool:
    """Whether `value` satisfies `schema`; KeyError for a keyword that is not known here."""
    number = value if isinstance(value, (int, float)) else math.nan
    size = len(value) if isinstance(value, (str, list, dict)) else 0
    properties = schema.get("properties", {})
    items = value.items() if isinstance(value, dict) else ()

    def holds(keyword: str, rule: Any) -> bool:
        checks: dict[str, Any] = {
            "$ref": lambda: valid(value, SCHEMA["$defs"][rule.removeprefix("#/$defs/")]),
            "allOf": lambda: all(valid(value, inner) for inner in rule),
            "anyOf": lambda: any(valid(value, inner) for inner in rule),
            "oneOf": lambda: sum(valid(value, inner) for inner in rule) == 1,
            "type": lambda: is_type(value, rule),
            "enum": lambda: value in rule,
            "const": lambda: value == rule,
            "minimum": lambda: not number < rule,
            "maximum": lambda: not number > rule,
            "exclusiveMinimum": lambda: not number <= rule,
            "exclusiveMaximum": lambda: not number >= rule,
            "pattern": lambda: not isinstance(value, str) or re.search(rule, value) is not None,
            "minLength": lambda: not isinstance(value, str) or size >= rule,
            "minItems": lambda: not isinstance(value, list) or size >= rule,
            "maxItems": lambda: not isinstance(value, list) or size <= rule,
            "minProperties": lambda: not isinstance(value, dict) or size >= rule,
            "maxProperties": lambda: not isinstance(value, dict) or size <= rule,
            "required": lambda: not isinstance(value, dict) or set(rule) <= set(value),
            "properties": lambda: all(valid(v, rule[k]) for k, v in items if k in rule),
            "additionalProperties": lambda: all(k in properties for k, _ in items),
            "items": lambda: not isinstance(value, list) or all(valid(v, rule) for v in value),
        }
        return bool(checks[keyword]())

    return all(holds(keyword, rule) for keyword, rule in schema.items() if keyword not in NOTES)


def test_dialect() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["required"] == ["data", "model", "optimizer"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_takes_the_configs_as_written_and_as_saved(path: Path) -> None:
    assert valid(read_source(path.read_text(), "c").data, SCHEMA)
    assert valid(read_source(dump_config(load_config(path)), "c").data, SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 1", "sede: 1"),
        ("seed: 1", "seed: -1"),
        ("filters: 8", "filtres: 8"),
        ("filters: 8", "filters: '8'"),
        ("filters: 8", "filters: 0"),
        ("- flatten", "- flaten"),
        ("- flatten", "- conv2d"),
        ("- flatten", "- {flatten: {}, relu: {}}"),
        ("body: [relu", "body: [rleu"),
        ("padding: 1", "padding: sam"),
        ("padding: 1", "init: he"),
        ("name: mnist", "name: mnst"),
        ("name: mnist", "name: npz"),
        ("batch_size: 32", "size: [1, 1]"),
        ("device: cpu", "device: gpu"),
        ("epochs: 2,", "ema: 2,"),
        ("early_stopping: 3", "early_stopping: x"),
        ("lr: 0.1,", ""),
    ],
)
def test_refuses(old: str, new: str) -> None:
    assert valid(yaml.safe_load(GOOD), SCHEMA)
    assert not valid(yaml.safe_load(broken(old, new)), SCHEMA)


def test_editors_know_every_layer_and_what_its_keys_mean() -> None:
    layer = SCHEMA["$defs"]["ModelSection"]["properties"]["layers"]["items"]
    bare, mapping = layer["anyOf"]
    assert set(mapping["properties"]) == set(LAYERS)
    assert {"relu", "batch_norm2d", "flatten"} <= set(bare["enum"])
    assert "conv2d" not in bare["enum"]
    assert SCHEMA["$defs"]["Dropout"]["properties"]["rate"]["description"]
