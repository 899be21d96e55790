"""The table of kernels: every compilation that the devices can ask for.

The symbols are read from the .cu files. Here stand the macros that the host chooses among, by the
symbols that take them; all others take the type alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import assemble, kernels_folder

Macros = tuple[tuple[str, str], ...]
Choices = dict[str, tuple[Macros, ...]]

TYPES = ("float", "double")
"""What SCALAR stands for."""


def _macros(**macros: object) -> Macros:
    return tuple((name, str(value)) for name, value in macros.items())


def _tile(m: int, n: int, thread_m: int, thread_n: int, *stages: int) -> tuple[Macros, ...]:
    size = {"TILE_M": m, "TILE_N": n, "TILE_K": 8, "THREAD_M": thread_m, "THREAD_N": thread_n}
    return tuple(_macros(**size, STAGES=stage) for stage in stages)


_CONVOLUTION: Choices = {
    "float": (
        *_tile(128, 128, 8, 8, 2, 3),
        *_tile(64, 128, 8, 8, 3),
        *_tile(64, 128, 4, 8, 2, 3),
        *_tile(64, 64, 4, 4, 2, 3),
        *_tile(32, 64, 4, 4, 2, 3),
        *_tile(32, 128, 4, 8, 2, 3),
        *_tile(64, 32, 4, 4, 2, 3),
        *_tile(16, 128, 4, 4, 2, 3),
    ),
    "double": (*_tile(64, 64, 4, 4, 2), *_tile(32, 64, 4, 4, 2)),
}
_PRODUCT: Choices = {
    "float": tuple(_macros(TILE_M=size, TILE_N=size) for size in (128, 64, 32)),
    "double": tuple(_macros(TILE_M=size, TILE_N=size) for size in (64, 32)),
}
_ARGMAX: Choices = dict.fromkeys(TYPES, tuple(_macros(ARGMAX=name) for name in ("uint8", "int")))
_CHUNKS: Choices = dict.fromkeys(TYPES, (_macros(THREADS=256, VALUES=16),))
_THREADS: Choices = dict.fromkeys(TYPES, (_macros(THREADS=256),))
_PIXELS: Choices = {
    "float": tuple(_macros(PIXEL=name) for name in ("uint8", "float")),
    "double": (),
}
_WORDS: Choices = {"float": (_macros(),), "double": ()}
_PLAIN: Choices = dict.fromkeys(TYPES, (_macros(),))

_DEPTHWISE: Choices = {
    "float": tuple(_macros(KERNEL=size) for size in (0, 3, 5, 7)),
    "double": (_macros(KERNEL=0),),
}
_DIRECT = ("conv2d_forward_direct", "conv2d_backward_input_direct")
_TILED = ("conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight")

# symbol -> type -> the macros that the host chooses among
VARIANTS: dict[str, Choices] = {
    "conv2d_forward": _CONVOLUTION,
    "conv2d_forward_direct": dict.fromkeys(TYPES, (_macros(FILTERS=4), _macros(FILTERS=16))),
    "conv2d_forward_depthwise": _DEPTHWISE,
    "conv2d_backward_input": _CONVOLUTION,
    "conv2d_backward_input_depthwise": _DEPTHWISE,
    "conv2d_backward_weight": _CONVOLUTION,
    "conv2d_backward_weight_direct": dict.fromkeys(TYPES, (_macros(FILTERS=1), _macros(FILTERS=4))),
    "linear_forward": _PRODUCT,
    "linear_backward_input": _PRODUCT,
    "linear_backward_weight": _PRODUCT,
    "max_pool2d_forward": _ARGMAX,
    "max_pool2d_forward_2x2": _ARGMAX,
    "max_pool2d_backward": _ARGMAX,
    "max_pool2d_backward_2x2": _ARGMAX,
    "max_pool2d_backward_scatter": _ARGMAX,
    "batch_norm2d_forward_partial": _CHUNKS,
    "batch_norm2d_forward_statistics": _CHUNKS,
    "batch_norm2d_forward_running": _CHUNKS,
    "batch_norm2d_backward_partial": _CHUNKS,
    "batch_norm2d_backward_reduce": _CHUNKS,
    "gather_images": _PIXELS,
    "gather_rows": _WORDS,
    "max_abs": _THREADS,
    "clip_by_global_norm": _THREADS,
    "clip_by_global_norm_squares": _THREADS,
}


@dataclass(frozen=True)
class Build:
    """One compilation of kernels/`file`.cu, for the symbols that are launched from it."""

    file: str
    macros: Macros
    symbols: tuple[str, ...]

    @property
    def type(self) -> str:
        return dict(self.macros)["SCALAR"]

    @property
    def variant(self) -> str:
        """The macros besides SCALAR, as "TILE_M=64 TILE_N=64"; empty for none."""
        return " ".join(f"{name}={value}" for name, value in self.macros if name != "SCALAR")

    def kernels(self) -> Iterator[Kernel]:
        for symbol in self.symbols:
            yield Kernel(self.file, symbol, self.macros)


@cache
def files(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the kernels' files."""
    return tuple(sorted(path.stem for path in (folder or kernels_folder()).glob("*.cu")))


@cache
def symbols(file: str, folder: Path | None = None) -> tuple[str, ...]:
    """The kernels that kernels/`file`.cu defines, in its order."""
    text = re.sub(r"//[^\n]*", "", assemble(file, folder))
    pattern = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\("
    return tuple(re.findall(pattern, text))


@cache
def builds() -> tuple[Build, ...]:
    """Every compilation, by file, type and macros."""
    found = []
    for file in files():
        for scalar in TYPES:
            by_macros: dict[Macros, list[str]] = {}
            for symbol in symbols(file):
                for macros in VARIANTS.get(symbol, _PLAIN)[scalar]:
                    by_macros.setdefault(macros, []).append(symbol)
            found += [
                Build(file, (("SCALAR", scalar), *macros), tuple(names))
                for macros, names in by_macros.items()
            ]
    return tuple(found)


def threads(symbol: str, macros: Macros) -> int:
    """Threads of a block that the host launches `symbol` with, at most."""
    sizes = dict(macros)
    if "THREAD_M" in sizes and symbol in _TILED:
        tile = int(sizes["TILE_M"]) // int(sizes["THREAD_M"])
        return tile * (int(sizes["TILE_N"]) // int(sizes["THREAD_N"]))
    return 128 if symbol in _DIRECT else 256
