"""Planted faults: small changes to the kernels that the tests must catch.

A module of this folder lists the faults of one family in FAULTS. Each is one replacement in one
.cu or .cuh file, and a check that passes on the kernels as they are and fails on the changed ones.
"""

import importlib
import pkgutil
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpucnn.ops.base import Ops
from gpucnn.runtime.source import kernels_folder


@dataclass(frozen=True)
class Fault:
    """`old` stands exactly once in `kernel`'s file and becomes `new`; `check` must then fail."""

    kernel: str
    """The file's stem, such as relu_forward; with its suffix for a header: common.cuh."""
    name: str
    """What is wrong, in a few words."""
    old: str
    new: str
    check: Callable[[Ops], None]
    """Uses the operations it is given; raises AssertionError or GpucnnError on a fault."""
    by: str = "wrong value"
    """What must catch it: memcheck, initcheck, racecheck, synccheck, or the result alone."""

    @property
    def file(self) -> str:
        return self.kernel if "." in self.kernel else f"{self.kernel}.cu"


def changed_folder(fault: Fault, folder: Path) -> Path:
    """A copy of the kernels in `folder`, with the fault planted."""
    copy = folder / "kernels"
    shutil.copytree(kernels_folder(), copy)
    path = copy / fault.file
    text = path.read_text()
    times = text.count(fault.old)
    assert times == 1, f"{fault.old!r} stands {times} times in kernels/{fault.file}, not once"
    path.write_text(text.replace(fault.old, fault.new))
    return copy


def all_faults() -> list[Fault]:
    """The faults of every module of this folder."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [
        fault for name in modules for fault in importlib.import_module(f"{__name__}.{name}").FAULTS
    ]
