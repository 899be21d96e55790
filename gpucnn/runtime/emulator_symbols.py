"""What the debug information of a kernel's library tells: source lines and shared variables."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from gpucnn.errors import DeviceError


@dataclass(frozen=True)
class SharedVariable:
    """A __shared__ variable: its place in the kernel's library."""

    name: str
    offset: int
    size: int
    section: str


@cache
def shared_variables(library: str) -> list[SharedVariable]:
    """The variables of a kernel's library, from its symbol table; static ones of functions."""
    text = _tool("objdump", "-t", "-C", library)
    pattern = r"^([0-9a-f]+) .{6}O (\S+)\s+([0-9a-f]+)\s+(\w+)(?:\(.*\))?::(\w+)$"
    return [
        SharedVariable(name, int(offset, 16), int(size, 16), section)
        for offset, section, size, _, name in re.findall(pattern, text, flags=re.MULTILINE)
        if not name.startswith("gpucnn_guard_")
    ]


def _tool(name: str, *arguments: str) -> str:
    """What a program of binutils prints."""
    found = shutil.which(name)
    if found is None:
        raise DeviceError(f"checked mode needs {name}: install binutils")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=True).stdout


@cache
def source_lines(library: str, codes: tuple[int, ...]) -> list[str]:
    """Where each code offset of a library comes from; an inlined helper with its caller."""
    if not codes:
        return []
    text = _tool("addr2line", "-e", library, "-i", "-a", *map(hex, codes))
    lines = []
    for part in re.split(r"^0x[0-9a-f]+\n", text, flags=re.MULTILINE)[1:]:
        places = re.findall(r"(kernels/[\w.]+:\d+)", part)
        inner, outer = (places[0], places[-1]) if places else ("an unknown line",) * 2
        lines.append(inner if inner == outer else f"{inner} (from {outer})")
    return lines
