"""`--set key.path=value`: changes to a config before it is validated."""

from typing import Any

from gpucnn.config.messages import Path, dotted, listed, one_line, quoted, spell, suggest
from gpucnn.config.source import Source, read_source
from gpucnn.errors import ConfigError

# What stands here is a name, or one name with its keys; so do the entries of lists.
_CHOICES = ("loss", "optimizer", "schedule")


def apply_override(source: Source, override: str) -> None:
    """Set one value in `source`, e.g. `model.layers.0.conv2d.filters=8`.

    The value is YAML. Sections and keys that the file leaves out are made; a layer written as a
    bare name becomes a mapping where one of its keys is set. Raises ConfigError for a path that
    leads nowhere, naming its deepest part that exists and what is there.
    """
    place = f"--set {one_line(override)}"
    path_text, equals, value_text = override.partition("=")
    parts = path_text.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f"{place}: expected KEY.PATH=VALUE such as model.layers.0.conv2d.filters=8"
        )
    value = read_source(value_text, place, place=place).data
    set_value(source, parts, value, place)


def set_value(source: Source, parts: list[str], value: Any, place: str) -> None:
    """Set `parts` (a key path) of the data to `value`; faults are located at `place`."""
    at: Any = source.data
    path: Path = ()
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        step = _step(at, path, part, place)
        path = (*path, step)
        if last:
            at[step] = value
            source.replace(path, place)
        else:
            at = _enter(at, step, parts[depth + 1], path, source, place)


def _step(at: Any, path: Path, part: str, place: str) -> str | int:
    """`part` as the key or index it is in `at`."""
    where = dotted(path) or "the config"
    if isinstance(at, list):
        if not part.isdecimal() or not part.isascii() or len(part) > 9 or int(part) >= len(at):
            there = f"0 to {len(at) - 1}" if at else "none"
            raise ConfigError(
                f"{place}: {where} is a list of {len(at)}: expected an index"
                f" ({there}), got {quoted(part)}"
            )
        return int(part)
    if not isinstance(at, dict):
        raise ConfigError(f"{place}: {where} is {spell(at)}: it has no {quoted(part)}")
    named = path in [(choice,) for choice in _CHOICES] or (path and isinstance(path[-1], int))
    if named and at and part not in at:
        raise ConfigError(
            f"{place}: {where} has {listed(at)}, got {quoted(part)}{suggest(part, at)}"
        )
    return part


def _enter(at: Any, step: Any, following: str, path: Path, source: Source, place: str) -> Any:
    """What stands at `step`, made a mapping where there is nothing yet or only a name."""
    inner = at[step] if isinstance(at, list) else at.get(step)
    if inner is None:
        at[step] = inner = {}
        source.replace(path, place)
    elif isinstance(inner, str) and inner == following:
        at[step] = inner = {following: {}}
        named = (*path, following)
        source.values[named] = source.place(path)
    return inner
