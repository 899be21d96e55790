"""What the user may set, as options give it."""

import re
from dataclasses import dataclass, fields

from gpucnn.errors import ConfigError
from gpucnn.reference.sizes import Window

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


@dataclass(frozen=True)
class Settings:
    """The options of `gpucnn explain`; None where the case's own example decides."""

    size: Pair | None = None
    kernel: Pair | None = None
    stride: Pair | None = None
    padding: Padding | str | None = None
    dilation: Pair | None = None
    tie_break: str | None = None
    rounding: str | None = None
    power: float | None = None
    channels: int | None = None
    filters: int | None = None
    classes: int | None = None
    label: int | None = None
    layers: tuple[Window, ...] | None = None
    seed: int | None = None

    def given(self) -> list[str]:
        """The names of the options that are set."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not None]


def parse_pair(option: str, text: str | None, minimum: int = 1) -> Pair | None:
    """(height, width) from "3" or "3x4"; ConfigError otherwise."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    pair = (int(found[1]), int(found[2] or found[1])) if found else None
    if pair is None or min(pair) < minimum:
        raise ConfigError(
            f"{option} must be a whole number >= {minimum} or HEIGHTxWIDTH, such as"
            f" {minimum + 1} or {minimum + 1}x{minimum + 2}, got {text!r}"
        )
    return pair


def parse_padding(text: str | None) -> Padding | str | None:
    """((top, bottom), (left, right)) from "1" or "1x2", or "same"; ConfigError otherwise."""
    if text is None or text == "same":
        return text
    pair = parse_pair("--padding", text, minimum=0)
    assert pair is not None
    return (pair[0], pair[0]), (pair[1], pair[1])


def parse_layers(text: str | None) -> tuple[Window, ...] | None:
    """Layers from "5,2/2": KERNEL, or KERNEL/STRIDE; ConfigError otherwise."""
    if text is None:
        return None
    layers = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,3})(?:/(\d{1,3}))?", part.strip())
        kernel, stride = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
        if kernel < 1 or stride < 1:
            raise ConfigError(
                f"--layers must be KERNEL or KERNEL/STRIDE, with commas between, such as 5,2/2, got"
                f" {text!r}"
            )
        layers.append(Window(kernel, stride))
    return tuple(layers)
