"""The `emulator` device: the kernels' own .cu files, compiled by g++ and run on the CPU.

For tests and for understanding a kernel; slow, and never a fallback. See docs/emulator.md.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime.launch import Dim, Kernel, Launcher

_INCLUDE = Path(__file__).parent / "emulator_include"
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=fast", "-Wno-unknown-pragmas")


class EmulatorLauncher(Launcher):
    """Runs kernels on NumPy arrays, one block at a time, its threads as fibers."""

    name = "emulator"
    xp = np

    def synchronize(self) -> None:
        """A launch has finished when it returns."""

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        library = _load(kernel.source, kernel.symbol, kernel.macros)
        held = [_address(a) for a in args]
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
        error = library.gpucnn_run(
            library[f"gpucnn_call_{kernel.symbol}"],
            pointers,
            (ctypes.c_uint * 3)(*grid),
            (ctypes.c_uint * 3)(*block),
            ctypes.c_size_t(shared_bytes),
            int(kernel.scalar == "float32"),
            None,
        )
        if error is not None:
            raise KernelError(f"{kernel.symbol}: {error.decode()}")


def _address(a: Any) -> Any:
    """A ctypes object that holds the argument's bytes."""
    if a is None:
        return ctypes.c_void_p(None)
    if isinstance(a, np.ndarray) and a.dtype.names is None:
        return ctypes.c_void_p(a.ctypes.data)
    data = a.tobytes()
    return ctypes.create_string_buffer(data, len(data))


def cache_folder() -> Path:
    """Where compiled kernels are kept: GPUCNN_CACHE, else ~/.cache/gpucnn."""
    return Path(os.environ.get("GPUCNN_CACHE") or Path.home() / ".cache" / "gpucnn")


@cache
def compiler() -> str:
    """The C++ compiler: CXX, else g++; DeviceError where there is none."""
    name = os.environ.get("CXX") or "g++"
    found = shutil.which(name)
    if found is None:
        raise DeviceError(
            f"device 'emulator' needs a C++ compiler, and {name} is not there: install g++"
            " (Debian, Ubuntu: apt install g++) or name one in CXX"
        )
    return found


@cache
def _load(source: str, symbol: str, macros: tuple[tuple[str, str], ...]) -> Any:
    library = ctypes.CDLL(str(_build(source, symbol, macros)))
    library.gpucnn_run.restype = ctypes.c_char_p
    return library


def _build(source: str, symbol: str, macros: tuple[tuple[str, str], ...]) -> Path:
    """Compile, or find what was compiled before from the same text with the same compiler."""
    flags = [*_FLAGS, *_machine_flags(), *(f"-D{name}={value}" for name, value in macros)]
    trampoline = (
        f'\nextern "C" void gpucnn_call_{symbol}(void** args)'
        f" {{ gpucnn_emulator::call({symbol}, args); }}\n"
    )
    runtime = [
        (_INCLUDE / name).read_text() for name in ("gpucnn_emulator.h", "gpucnn_emulator.cpp")
    ]
    key = hashlib.sha256("\0".join([_version(), *flags, *runtime, source, symbol]).encode())
    name = f"{symbol}-{key.hexdigest()[:24]}.so"
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
    except OSError:
        folder = Path(_scratch())
    target = folder / name
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder) as work:
        text = Path(work) / "kernel.cpp"
        text.write_text(source + trampoline)
        built = Path(work) / name
        command = [
            compiler(), *flags, "-I", str(_INCLUDE), "-include", "gpucnn_emulator.h",
            str(text), str(_INCLUDE / "gpucnn_emulator.cpp"), "-o", str(built),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise KernelError(f"g++ does not compile {symbol}:\n{done.stderr.strip()}")
        built.replace(target)
    return target


@cache
def _scratch() -> str:
    """A folder of this process, where the cache folder cannot be written."""
    return tempfile.mkdtemp(prefix="gpucnn-")


@cache
def _version() -> str:
    return subprocess.run([compiler(), "--version"], capture_output=True, text=True).stdout


@cache
def _machine_flags() -> tuple[str, ...]:
    """Fused multiply-add where the processor has it, as a GPU always does."""
    if platform.machine() != "x86_64":
        return ()
    cpuinfo = Path("/proc/cpuinfo")
    return ("-mfma",) if cpuinfo.exists() and " fma " in cpuinfo.read_text() else ()
