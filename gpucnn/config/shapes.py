"""The table of shapes that `gpucnn benchmark` measures: kind -> name -> sizes."""

from os import PathLike
from pathlib import Path

from gpucnn.config.files import read_text
from gpucnn.config.messages import dotted, listed, one_line, spell, suggest
from gpucnn.config.source import Source, read_source
from gpucnn.errors import ConfigError

IMAGES = ("N", "C", "H", "W")
KINDS = {
    "convolutions": (*IMAGES, "K", "R", "S", "stride", "padding", "dilation", "groups"),
    "pools": (*IMAGES, "window", "stride", "padding"),
    "batch_norms": IMAGES,
    "linears": ("N", "in", "out"),
    "arenas": ("parameters",),
}
"""kind -> what its numbers are, in order. Each is at least 1, `padding` at least 0."""

MOST = 2**31 - 1
_PACKAGE = Path(__file__).parent.parent


def default_shapes() -> Path:
    """The table that comes with gpucnn: in the wheel beside the package's modules."""
    file = "benchmark_shapes.yaml"
    for path in (_PACKAGE / f"_{file}", _PACKAGE.parent / "configs" / file):
        if path.is_file():
            return path
    raise ConfigError(f"{file} is missing beside {_PACKAGE}: reinstall gpucnn, or name --shapes")


def load_shapes(path: str | PathLike[str]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Read and check a table of shapes; ConfigError with file and line for every fault."""
    path = Path(path)
    source = read_source(read_text(path, "shapes"), one_line(str(path)))
    if not isinstance(source.data, dict) or not source.data:
        raise ConfigError(
            f"{source.place(())}: expected shapes, a mapping with {listed(KINDS)}, got"
            f" {'nothing' if source.data is None else spell(source.data)}"
        )
    return {kind: _rows(source, kind) for kind in source.data}


def _rows(source: Source, kind: str) -> dict[str, tuple[int, ...]]:
    rows = source.data[kind]
    if kind not in KINDS:
        raise _fault(
            source, (kind,), f"expected one of {listed(KINDS)}{suggest(kind, KINDS)}", key=True
        )
    if not isinstance(rows, dict) or not rows:
        raise _fault(
            source, (kind,), f"expected a mapping of names to {_form(kind)}, got {spell(rows)}"
        )
    for name, sizes in rows.items():
        _check(source, kind, name, sizes)
    return {name: tuple(sizes) for name, sizes in rows.items()}


def _check(source: Source, kind: str, name: str, sizes: object) -> None:
    names = KINDS[kind]
    if not isinstance(sizes, list) or len(sizes) != len(names):
        raise _fault(source, (kind, name), f"expected {_form(kind)}, got {spell(sizes)}")
    for index, (label, size) in enumerate(zip(names, sizes, strict=True)):
        least = 0 if label == "padding" else 1
        if type(size) is not int or not least <= size <= MOST:
            raise _fault(
                source,
                (kind, name, index),
                f"expected {label}, an integer from {least} to {MOST}, got {spell(size)}",
            )
    if kind == "convolutions":
        by_name = dict(zip(names, sizes, strict=True))
        for label in ("C", "K"):
            if by_name[label] % by_name["groups"]:
                raise _fault(
                    source,
                    (kind, name),
                    f"expected {label} divisible by groups, got {label} {by_name[label]} and"
                    f" groups {by_name['groups']}",
                )


def _form(kind: str) -> str:
    return f"[{', '.join(KINDS[kind])}]"


def _fault(
    source: Source, path: tuple[str | int, ...], text: str, *, key: bool = False
) -> ConfigError:
    return ConfigError(f"{source.place(path, key=key)}: {dotted(path)}: {text}")
