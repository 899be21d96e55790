"""A kernel and its signature, read from its source: what gpucnn/runtime/launch.py checks by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from gpucnn.errors import KernelError
from gpucnn.runtime.source import assemble

_C_TYPES = {
    "bool": "bool",
    "int": "int32",
    "uint8": "uint8",
    "uint32": "uint32",
    "uint64": "uint64",
    "float": "float32",
    "double": "float64",
}


@dataclass(frozen=True)
class Kernel:
    """A symbol of kernels/`file`.cu, compiled with macros such as (("SCALAR", "float"),)."""

    file: str
    symbol: str
    macros: tuple[tuple[str, str], ...]
    folder: Path | None = None
    """Another folder than the package's, for a changed copy."""

    @property
    def source(self) -> str:
        return _source(self.file, self.folder)

    @property
    def parameters(self) -> tuple["KernelParameter", ...]:
        return _parameters(self.file, self.symbol, self.folder)

    @property
    def structs(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """The structs of the source: name -> its fields as (name, type)."""
        return _structs(self.file, self.folder)

    def dtype(self, c_type: str) -> str | None:
        """NumPy's name of a C type, which may be a macro; None for a struct."""
        if c_type == "scalar_t":
            return self.scalar
        return _C_TYPES.get(dict(self.macros).get(c_type, c_type))

    @property
    def scalar(self) -> str:
        return _C_TYPES[dict(self.macros).get("SCALAR", "float")]


@dataclass(frozen=True)
class KernelParameter:
    """One parameter as the .cu file declares it."""

    name: str
    type: str
    pointer: bool
    written: bool
    """Whether it points to what the kernel may write."""
    restrict: bool
    """Whether nothing else may point there where one of the two writes: `__restrict__`."""


@cache
def _source(file: str, folder: Path | None) -> str:
    return assemble(file, folder)


@cache
def _code(file: str, folder: Path | None) -> str:
    """The source without comments."""
    return re.sub(r"//[^\n]*", "", _source(file, folder))


@cache
def _parameters(file: str, symbol: str, folder: Path | None) -> tuple[KernelParameter, ...]:
    pattern = r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?" + symbol + r"\s*\(([^)]*)\)"
    found = re.search(pattern, _code(file, folder))
    if found is None:
        raise KernelError(f"kernels/{file}.cu defines no kernel {symbol}")
    parameters = []
    for declaration in found[1].split(","):
        match = re.fullmatch(
            r"\s*(const\s+)?(\w+)\s*(\*?)\s*(__restrict__\s+)?(\w+)\s*", declaration
        )
        if match is None:
            raise KernelError(f"kernels/{file}.cu: cannot read the parameter {declaration.strip()}")
        const, c_type, pointer, restrict, name = match.groups()
        parameters.append(KernelParameter(name, c_type, bool(pointer), not const, bool(restrict)))
    return tuple(parameters)


@cache
def _structs(file: str, folder: Path | None) -> Mapping[str, tuple[tuple[str, str], ...]]:
    structs = {}
    for name, body in re.findall(r"\bstruct (\w+) \{([^{}]*)\};", _code(file, folder)):
        lines = [line.split(None, 1) for line in body.split(";") if line.strip()]
        structs[name] = tuple(
            (field.strip(), c_type) for c_type, fields in lines for field in fields.split(",")
        )
    return MappingProxyType(structs)
