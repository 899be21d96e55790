"""The words of a config error.

`FILE:LINE:COL: key.path: expected ..., got ...; did you mean 'x'?`
"""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

Path = tuple[str | int, ...]

# What other tools call our names; difflib alone would not find them, or find a worse one.
_SYNONYMS = {
    "gpu": "cuda",
    "learning_rate": "lr",
    "dense": "linear",
    "fc": "linear",
    "out_channels": "filters",
    "channels": "filters",
    "out_features": "units",
    "cross_entropy": "softmax_cross_entropy",
    "mse": "mean_squared_error",
}


def suggest(name: Any, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest known name, or nothing."""
    names = list(known)
    if not isinstance(name, str):
        return ""
    if _SYNONYMS.get(name) in names:
        return f"; did you mean '{_SYNONYMS[name]}'?"
    wanted = name[:80].lower()
    near = get_close_matches(wanted, names, n=1, cutoff=0.55)
    if not near and len(wanted) > 2:
        near = [known for known in names if wanted in known]
    return f"; did you mean '{near[0]}'?" if near else ""


def spell(value: Any) -> str:
    """A value as YAML would write it, short enough for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    if isinstance(value, dict):
        return f"a mapping with the key(s) {_shorten(listed(map(str, value)))}" if value else "{}"
    if isinstance(value, list):
        return _shorten(f"[{', '.join(_item(item) for item in value[:20])}]")
    if isinstance(value, int) and abs(value) >= 10**50:
        return f"an integer of {value.bit_length()} bits"
    return _shorten(str(value))


def quoted(text: str) -> str:
    """A string in quotes, printable and short."""
    return _shorten(repr(text))


def _item(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    return (
        "{...}" if isinstance(value, dict) else "[...]" if isinstance(value, list) else spell(value)
    )


def _shorten(text: str, limit: int = 70) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, each made printable."""
    return ", ".join(_printable(name) for name in names)


def dotted(path: Path) -> str:
    """The key path as `--set` takes it: model.layers.0.conv2d.filters."""
    return ".".join(_printable(str(part)) for part in path)


def _printable(name: str) -> str:
    return _shorten(name if name.isprintable() and name else repr(name))


def one_line(text: str) -> str:
    """A file's name or an argument, made safe to print in front of a message."""
    return text if text.isprintable() else repr(text)
