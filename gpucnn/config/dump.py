"""A config -> YAML: every default written out, reading back as the same config."""

from typing import Any

import yaml
from pydantic import BaseModel
from yaml.nodes import MappingNode, Node, SequenceNode

from gpucnn.config.datasets import DATASETS, DataSection
from gpucnn.config.models import Config
from gpucnn.config.scalars import CoreResolver, scalar_node
from gpucnn.config.types import Spec

_INLINE_CHARACTERS = 76


class _Dumper(CoreResolver, yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)  # lists stand deeper than their key


def dump_config(config: Config) -> str:
    """The config as YAML with all defaults; `parse_config` of it gives an equal config."""
    node = _node(_plain(config))
    return str(yaml.serialize(node, Dumper=_Dumper, width=10**6, allow_unicode=True))


def _plain(value: Any) -> Any:
    """Config objects -> mappings, lists and scalars, as a file would have them."""
    if isinstance(value, Spec):
        return {value.kind: {name: _plain(item) for name, item in value.options.items()}}
    if isinstance(value, DataSection):
        flat = vars(value) | value.options
        return {name: _plain(flat[name]) for name in DATASETS[value.name].key_names()}
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _node(value: Any) -> Node:
    """The YAML node of plain data; what is short and has no mapping inside stands on one line."""
    inline = not _has_mapping(value) and len(repr(value)) <= _INLINE_CHARACTERS
    if isinstance(value, dict):
        pairs = [(scalar_node(key), _node(item)) for key, item in value.items()]
        return MappingNode("tag:yaml.org,2002:map", pairs, flow_style=inline)
    if isinstance(value, list):
        items = [_node(item) for item in value]
        return SequenceNode("tag:yaml.org,2002:seq", items, flow_style=inline)
    return scalar_node(value)


def _has_mapping(value: Any) -> bool:
    """Whether a mapping lies inside `value`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict) or _has_mapping(item) for item in inner)
