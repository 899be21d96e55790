"""How a plain scalar is read and written: the YAML 1.2 core rules, with numbers like 1e-3.

PyYAML follows YAML 1.1, where `1e-3` is a string, `010` is eight, `1:30` is ninety and `on` is
true. Loader and dumper share this one table, so what is written reads back the same.
"""

import re
from typing import Any

from yaml.nodes import MappingNode, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

_TAG = "tag:yaml.org,2002:"
NULL, BOOL, INT, FLOAT, STR = (_TAG + kind for kind in ("null", "bool", "int", "float", "str"))
_SPECIAL = re.compile(r"\.(inf|nan)", re.IGNORECASE)

_PATTERNS = (
    (NULL, re.compile(r"~|null|Null|NULL|")),
    (BOOL, re.compile(r"true|True|TRUE|false|False|FALSE")),
    (INT, re.compile(r"[-+]?(0|[1-9][0-9]*)")),
    (
        FLOAT,
        re.compile(
            r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
            r"|[-+]?[0-9]+[eE][-+]?[0-9]+"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
    ),
)


class CoreResolver(BaseResolver):
    """Gives each plain scalar its type: a mixin that stands before PyYAML's loader or dumper."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is MappingNode:
            return _TAG + "map"
        if kind is SequenceNode:
            return _TAG + "seq"
        if implicit[0]:
            for tag, pattern in _PATTERNS:
                if pattern.fullmatch(value):
                    return tag
        return STR


def read_scalar(tag: str, text: str) -> bool | int | float | str | None:
    """The Python value of a scalar node. ValueError for integers of absurd length."""
    if tag == NULL:
        return None
    if tag == BOOL:
        return text.lower() == "true"
    if tag == INT:
        return int(text)
    if tag == FLOAT:
        return float(_SPECIAL.sub(r"\1", text))
    return text


def scalar_node(value: bool | int | float | str | None) -> ScalarNode:
    """The node that reads back as `value`."""
    if value is None:
        return ScalarNode(NULL, "null")
    if isinstance(value, bool):
        return ScalarNode(BOOL, "true" if value else "false")
    if isinstance(value, (int, float)):
        return ScalarNode(INT if isinstance(value, int) else FLOAT, repr(value))
    # Double quotes write line breaks such as U+0085 as escapes; any other style would fold them.
    return ScalarNode(STR, value, style=None if value.isprintable() else '"')
