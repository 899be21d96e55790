"""The example kernels of tests/runtime/kernels."""

from pathlib import Path
from typing import Any

from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel

FOLDER = Path(__file__).parent / "kernels"


def launcher(**options: Any) -> EmulatorLauncher:
    return EmulatorLauncher(FOLDER, **options)


def example(name: str, *macros: tuple[str, str]) -> Kernel:
    return Kernel(name, name, (("SCALAR", "float"), *macros), FOLDER)
