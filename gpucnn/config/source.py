"""YAML text -> plain data, and where each key and value of it was written.

Stricter than YAML: one document, a mapping at the root, string keys, no duplicate keys, no tags, no
anchors, aliases or merge keys (a config says everything where it stands, and ten lines of aliases
can expand to gigabytes), bounded size and depth.
"""

from dataclasses import dataclass, field
from typing import Any

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent
from yaml.loader import SafeLoader
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from gpucnn.config.messages import Path, dotted, spell
from gpucnn.config.scalars import CoreResolver, read_scalar
from gpucnn.errors import ConfigError

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 64


@dataclass
class Source:
    """A config before validation: plain data, and the place of each key and value by path."""

    name: str
    data: Any = None
    keys: dict[Path, str] = field(default_factory=dict)
    values: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> str:
        """`FILE:LINE:COL` of the value (or key) at `path`, or of the nearest part around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, self.name)

    def replace(self, path: Path, place: str) -> None:
        """Forget the places at and below `path`: what stands there now was written at `place`."""
        for table in (self.keys, self.values):
            for known in [known for known in table if known[: len(path)] == path]:
                del table[known]
            table[path] = place


class _Refused(Exception):
    def __init__(self, mark: Any, text: str):
        super().__init__(text)
        self.mark = mark


class _Composer(CoreResolver, SafeLoader):
    """PyYAML up to nodes, without aliases and tags, and with a bounded depth."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise _Refused(
                event.start_mark, "anchors and aliases (& and *) are not allowed: repeat the keys"
            )
        if event.tag is not None:
            raise _Refused(event.start_mark, f"tags such as {event.tag} are not allowed: remove it")
        if self.depth == MAX_DEPTH:
            raise _Refused(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_source(text: str, name: str, *, place: str | None = None) -> Source:
    """Parse `text` (YAML). With `place`, errors and values are located there, not by line.

    Raises ConfigError for anything that is not one plain YAML document.
    """
    source = Source(name)

    def located(mark: Any) -> str:
        if place is not None:
            return place
        return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"

    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            f"{located(None)}: expected a config of at most {MAX_CHARACTERS} characters,"
            f" got {len(text)}"
        )
    composer = None
    try:
        composer = _Composer(text.removeprefix("\ufeff"))
        node = composer.get_single_node()
        source.data = None if node is None else _plain(node, (), source, located)
    except _Refused as error:
        raise ConfigError(f"{located(error.mark)}: {error}") from None
    except MarkedYAMLError as error:
        raise ConfigError(
            f"{located(error.problem_mark or error.context_mark)}: {_explain(error)}"
        ) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position)
        column = error.position - (text.rfind("\n", 0, error.position) + 1)
        where = place or f"{name}:{line + 1}:{column + 1}"
        raise ConfigError(
            f"{where}: expected printable text, got the character {chr(error.character)!r}"
        ) from None
    except (YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets these out for absurd escapes and directives, e.g. "\UFFFFFFFF".
        mark = composer.get_mark() if composer else None
        raise ConfigError(f"{located(mark)}: not YAML: {error}") from None
    source.values.setdefault((), located(None))
    return source


def _explain(error: MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "YAML is indented by spaces, got a tab"
    if "but found another document" in problem:
        return "expected one document, got a second one (---)"
    context = f" ({error.context})" if error.context else ""
    return f"not YAML: {problem}{context}"


def _plain(node: Node, path: Path, source: Source, located: Any) -> Any:
    source.values[path] = located(node.start_mark)
    if isinstance(node, MappingNode):
        return _mapping(node, path, source, located)
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, i), source, located) for i, item in enumerate(node.value)]
    return _scalar(node, path)


def _mapping(node: MappingNode, path: Path, source: Source, located: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        mark = key_node.start_mark
        key = _scalar(key_node, path) if isinstance(key_node, ScalarNode) else None
        if not isinstance(key, str):
            got = spell(key) if isinstance(key_node, ScalarNode) else "a list or mapping"
            raise _Refused(mark, f"{_at(path)}expected a name as key, got {got}")
        if key == "<<":
            raise _Refused(mark, f"{_at(path)}merge keys (<<) are not allowed: repeat the keys")
        inner = (*path, key)
        if key in result:
            first = source.keys[inner].removeprefix(f"{source.name}:")
            raise _Refused(mark, f"{dotted(inner)}: duplicate key, first written at {first}")
        source.keys[inner] = located(mark)
        result[key] = _plain(value_node, inner, source, located)
    return result


def _scalar(node: Node, path: Path) -> Any:
    try:
        value = read_scalar(node.tag, node.value)
    except ValueError:
        raise _Refused(
            node.start_mark,
            f"{_at(path)}expected a number of sane length, got {len(node.value)} digits",
        ) from None
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _Refused(
            node.start_mark, f"{_at(path)}expected Unicode text, got half a surrogate pair"
        )
    return value


def _at(path: Path) -> str:
    return f"{dotted(path)}: " if path else ""
