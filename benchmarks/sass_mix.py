"""What the convolutions' tile loops consist of, from their machine code: no GPU needed.

    .venv/bin/pip install nvidia-cuda-nvrtc nvidia-cuda-nvdisasm
    .venv/bin/python benchmarks/sass_mix.py [--arch sm_90]

A row is one kernel of one tile: its registers, spilled bytes and occupancy, the instructions of a
thread for one tile of depth, how many of them are multiply-adds, and their share. An instruction of
the loop over the tiles counts once, those of both ways of loading too; one of the loop within,
which multiplies, as often as that runs.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpucnn.ops.kernels.conv_plan import FILES
from gpucnn.runtime import nvrtc
from gpucnn.runtime.registry import Build, builds
from gpucnn.runtime.report import usages
from gpucnn.runtime.source import assemble

LABEL = re.compile(r"^(\.L_\w+):")
INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9_]+)(.*)")
TARGET = re.compile(r"`\((\.L_\w+)\)")


@dataclass(frozen=True)
class Mix:
    """Instructions of a thread for one tile of depth."""

    products: int
    others: int

    @property
    def share(self) -> float:
        return self.products / (self.products + self.others)


def nvdisasm() -> str:
    """The disassembler: of the PyPI wheel, else of the toolkit."""
    for folder in sys.path:
        for path in Path(folder or ".").glob("nvidia/*/bin/nvdisasm"):
            return str(path)
    found = shutil.which("nvdisasm")
    if found is None:
        sys.exit("nvdisasm is missing: pip install nvidia-cuda-nvdisasm")
    return found


def loops(text: str, symbol: str) -> Iterator[list[str]]:
    """The bodies of a kernel's loops, as instructions' names."""
    inside, names, labels = False, list[str](), dict[str, int]()
    for line in text.splitlines():
        if ".section\t.text." in line:
            inside = f".text.{symbol}," in line
        elif inside and (label := LABEL.match(line)):
            labels[label[1]] = len(names)
        elif inside and (instruction := INSTRUCTION.match(line)):
            names.append(instruction[1])
            target = TARGET.search(instruction[2])
            if instruction[1] == "BRA" and target and target[1] in labels:
                yield names[labels[target[1]] :]


def products(body: list[str]) -> int:
    return sum(name in ("FFMA", "DFMA") for name in body)


def mix(build: Build, symbol: str, arch: str) -> Mix:
    _, code = nvrtc.compiled(assemble(build.file), build.file, build.macros, arch)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        text = subprocess.run(
            [nvdisasm(), "-c", file.name], check=True, capture_output=True, text=True
        ).stdout
    found = sorted((body for body in loops(text, symbol) if products(body)), key=len)
    inner, outer = found[0], found[-1]
    size = {name: int(value) for name, value in build.macros if name != "SCALAR"}
    wanted = size["TILE_K"] * size["THREAD_M"] * size["THREAD_N"]
    runs = wanted // products(inner)
    return Mix(wanted, len(outer) - len(inner) + runs * len(inner) - wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", default="sm_90", choices=nvrtc.architectures())
    arch = parser.parse_args().arch
    print(
        "| kernel | tile | stages | registers | spilled | occupancy | instructions | FMA | share |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for build in builds():
        size = dict(build.macros)
        if build.file not in FILES or build.type != "float" or "STAGES" not in size:
            continue
        (used,) = (usage for usage in usages(build, arch) if usage.symbol == build.file)
        found = mix(build, build.file, arch)
        print(
            f"| {build.file} | {size['TILE_M']}x{size['TILE_N']} | {size['STAGES']} |"
            f" {used.registers} | {used.spilled} | {used.occupancy:.0%} |"
            f" {found.products + found.others} | {found.products} | {found.share:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
