"""pydantic's errors -> one ConfigError that locates each of them in what the user wrote."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gpucnn.config.messages import Path, dotted, spell
from gpucnn.config.source import Source
from gpucnn.errors import ConfigError

MAX_LINES = 20


def report(error: ValidationError, source: Source) -> ConfigError:
    """A line for each fault, at most MAX_LINES."""
    lines = [line for fault in error.errors(include_url=False) for line in _lines(fault, source)]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"... and {len(lines) - MAX_LINES} more"]
    return ConfigError("\n".join(lines))


def _lines(fault: ErrorDetails, source: Source) -> list[str]:
    path: Path = tuple(part for part in fault["loc"] if not str(part).startswith("@"))
    context: dict[str, Any] = fault.get("ctx", {})
    kind = fault["type"]
    if kind == "unknown_keys":
        return [
            _line(source, (*path, key), text, key=True) for key, text in context["keys"].items()
        ]
    if kind == "refused":
        return [_line(source, path + context["at"], context["text"], key=context["key"])]
    if kind == "missing":
        return [_line(source, path[:-1], f"required key '{path[-1]}' is missing", key=True)]
    if kind == "too_short":
        return [_line(source, path, "expected at least one entry, got []")]
    wanted = "a list" if kind == "list_type" else "a mapping of keys"
    return [_line(source, path, f"expected {wanted}, got {spell(fault['input'])}")]


def _line(source: Source, path: Path, text: str, *, key: bool = False) -> str:
    named = f"{dotted(path)}: " if path else ""
    return f"{source.place(path, key=key)}: {named}{text}"
