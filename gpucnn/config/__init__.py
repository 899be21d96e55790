"""The config of a run: one YAML file, checked whole before anything happens.

Every fault is a ConfigError that says `FILE:LINE:COL: key.path: what was expected, what was got`,
a line for each, with the nearest known name. Relative paths in a config are seen from the working
directory, as paths on the command line are.
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from pydantic import ValidationError

from gpucnn.config.datasets import DataSection, Normalize
from gpucnn.config.dump import dump_config
from gpucnn.config.files import read_text
from gpucnn.config.messages import one_line, spell
from gpucnn.config.models import Config, ModelSection, json_schema
from gpucnn.config.overrides import apply_override, set_value
from gpucnn.config.report import report
from gpucnn.config.shapes import load_shapes
from gpucnn.config.source import Source, read_source
from gpucnn.config.training import EarlyStopping, TrainSection
from gpucnn.config.types import Spec
from gpucnn.errors import ConfigError

__all__ = [
    "Config",
    "DataSection",
    "EarlyStopping",
    "ModelSection",
    "Normalize",
    "Spec",
    "TrainSection",
    "dump_config",
    "json_schema",
    "load_config",
    "load_shapes",
    "parse_config",
]


def load_config(
    path: str | PathLike[str],
    *,
    overrides: Iterable[str] = (),
    device: str | None = None,
    output: str | PathLike[str] | None = None,
) -> Config:
    """Read and check a config file.

    overrides: `key.path=value` strings, applied in order; `device` and `output` (the options
    --device and --output) come last. ConfigError for a file that cannot be read, is not YAML or
    breaks a rule.
    """
    path = Path(path)
    source = read_source(read_text(path), one_line(str(path)))
    return _checked(source, path.stem, overrides, device=device, output=output)


def parse_config(text: str, *, name: str = "<string>", overrides: Iterable[str] = ()) -> Config:
    """As load_config, from a string; `name` stands for the file in messages and for output."""
    stem = "config" if name.startswith("<") else Path(name).stem or "config"
    return _checked(read_source(text, name), stem, overrides)


def _checked(
    source: Source,
    stem: str,
    overrides: Iterable[str],
    *,
    device: str | None = None,
    output: str | PathLike[str] | None = None,
) -> Config:
    if not isinstance(source.data, dict):
        raise ConfigError(
            f"{source.place(())}: expected a config, a mapping with data, model and optimizer,"
            f" got {'nothing' if source.data is None else spell(source.data)}"
        )
    for override in overrides:
        apply_override(source, override)
    for option, value in (("device", device), ("output", output)):
        if value is not None:
            set_value(source, [option], str(value), f"--{option}")
    source.data.setdefault("output", f"runs/{stem}")
    try:
        return Config.model_validate(source.data)
    except ValidationError as error:
        raise report(error, source) from None
