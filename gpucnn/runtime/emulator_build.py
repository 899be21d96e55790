"""Compiles the emulator and the kernels it runs, and keeps what was compiled.

A library's name holds a hash of everything it is made of: texts, flags, the compiler's version. So
a library that is there is right, and processes that build the same one at the same time replace it
with its equal. A library's time is that of its last use; those that nobody uses any more go.
"""

import atexit
import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime.launch import MAX_THREADS

_INCLUDE = Path(__file__).parent / "emulator_include"
_FLAGS = ("-std=c++17", "-fPIC", "-shared", "-ffp-contract=fast", "-Wno-unknown-pragmas")
# For checked mode every access calls the checker, whole as the source has it: scalar replacement
# would split a float4. DWARF 5 as g++ writes it loses the file names of #line.
_CHECKED_FLAGS = ("-O1", "-gdwarf-4", "-fsanitize=thread", "-fno-tree-sra", "-DGPUCNN_CHECKED")
# A kernel's name, behind the first of its launch bounds: the most threads of a block.
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\(([^,)]*)[^)]*\)\s+)?(\w+)\s*\(")
# The linker names the ends of a section; without __shared__ variables there is none.
_IMAGES = """
#line 1 "emulator"
extern "C" __attribute__((weak, visibility("hidden"))) unsigned char
    __start_gpucnn_shared[], __stop_gpucnn_shared[];
extern "C" __attribute__((weak, visibility("hidden"))) gpucnn_emulator::Guard
    *__start_gpucnn_guards[], *__stop_gpucnn_guards[];
"""
_IMAGE = """
static void gpucnn_call_{1}(void** args) {{ gpucnn_emulator::call({1}, args); }}
extern "C" const unsigned gpucnn_bound_{1} = {0};
extern "C" const gpucnn_emulator::Image gpucnn_image_{1} = {{
    gpucnn_call_{1}, __start_gpucnn_shared, __stop_gpucnn_shared,
    __start_gpucnn_guards, __stop_gpucnn_guards}};
"""


_HOUR = 3600.0
_UNUSED = 30 * 24 * _HOUR
"""How long a library is kept that nobody uses."""
_MOST_BYTES = 1 << 30
"""What the libraries may take in all; beyond it, those go that were used longest ago."""


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


def build_runtime() -> Path:
    """The library of the scheduler and the checker, which kernels link to."""
    files = sorted(_INCLUDE.glob("*.cpp"))
    flags = (*_FLAGS, "-O2", "-I", str(_INCLUDE))
    content = [path.read_text() for path in sorted(_INCLUDE.iterdir())]
    return _library("libgpucnn_emulator", content, flags, [str(path) for path in files])


def build_kernel(
    name: str, source: str, macros: tuple[tuple[str, str], ...], *, checked: bool
) -> Path:
    """The library of a .cu file's assembled text; each kernel in it has a gpucnn_image_SYMBOL.

    And a gpucnn_bound_SYMBOL: the most threads of a block, by its launch bounds or CUDA's limit.
    """
    runtime = build_runtime()
    kernels = {symbol: bound or MAX_THREADS for bound, symbol in _KERNEL.findall(source)}
    text = source + _IMAGES + "".join(_IMAGE.format(b, symbol) for symbol, b in kernels.items())
    flags = (
        *_FLAGS, *_machine_flags(), *((*_CHECKED_FLAGS, *_poison()) if checked else ("-O2",)),
        *(f"-D{macro}={value}" for macro, value in macros),
        "-I", str(_INCLUDE), "-include", "gpucnn_emulator.h",
    )  # fmt: skip
    # -nodefaultlibs leaves libtsan out: the calls it would answer are the checker's.
    link = [str(runtime), "-Wl,-rpath,$ORIGIN", "-nodefaultlibs", "-lstdc++", "-lm", "-lc", "-lgcc"]
    return _library(name, [runtime.name, text], flags, link, text=text)


def _library(
    name: str,
    content: list[str],
    flags: tuple[str, ...],
    inputs: list[str],
    text: str | None = None,
) -> Path:
    """Compile, or find what was compiled before from the same content."""
    key = hashlib.sha256("\0".join([_version(), *flags, *content]).encode()).hexdigest()[:24]
    target = _folder() / f"{name}-{key}.so"
    if _used(target):
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        built = Path(work) / target.name
        if text is not None:
            unit = Path(work) / "kernel.cpp"
            unit.write_text(text)
            inputs = [str(unit), *inputs]
        command = [compiler(), *flags, *inputs, f"-Wl,-soname,{target.name}", "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise KernelError(f"g++ does not compile {name}:\n{_errors(done.stderr)}")
        built.replace(target)
    prune(target.parent)
    return target


def _used(library: Path) -> bool:
    """Whether it is there; its time becomes now, so that no other process takes it away."""
    try:
        os.utime(library)
    except OSError:
        return library.exists()  # a cache that may be read alone
    return True


@cache
def prune(folder: Path) -> None:
    """Delete what nobody has used for long, then what was used longest ago until the rest fits.

    Once a process.

    What was used within the hour stays: another process may be about to load it. One that has
    loaded a library keeps it, whether its file is there or not.
    """
    total = 0
    for age, size, path in _by_age(folder.glob("*.so")):
        total += size
        if age > _UNUSED or (total > _MOST_BYTES and age > _HOUR):
            path.unlink(missing_ok=True)
    for age, _, work in _by_age(folder.glob("tmp*")):  # of builds that were killed
        if age > _HOUR:
            shutil.rmtree(work, ignore_errors=True)


def _by_age(paths: Iterable[Path]) -> list[tuple[float, int, Path]]:
    """Seconds since each was used, its size and itself, the newest first."""
    found, now = [], time.time()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another process prunes too
            status = path.stat()
            found.append((now - status.st_mtime, status.st_size, path))
    return sorted(found)


def _errors(messages: str) -> str:
    """The errors among g++'s messages, first things first."""
    lines = messages.strip().splitlines()
    first = next((i for i, line in enumerate(lines) if "error:" in line), 0)
    return "\n".join(lines[first : first + 20])


@cache
def _folder() -> Path:
    """The cache folder, or one of this process where that cannot be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        own = Path(tempfile.mkdtemp(prefix="gpucnn-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return own


@cache
def _version() -> str:
    return subprocess.run([compiler(), "--version"], capture_output=True, text=True).stdout


@cache
def _poison() -> tuple[str, ...]:
    """Local variables that nothing initialises begin far from 0; from g++ 12 on."""
    flag = "-ftrivial-auto-var-init=pattern"
    command = [compiler(), flag, "-x", "c++", "-E", os.devnull]
    return (flag,) if subprocess.run(command, capture_output=True).returncode == 0 else ()


@cache
def _machine_flags() -> tuple[str, ...]:
    """Fused multiply-add where the processor has it, as a GPU always does."""
    if platform.machine() != "x86_64":
        return ()
    cpuinfo = Path("/proc/cpuinfo")
    return ("-mfma",) if cpuinfo.exists() and " fma " in cpuinfo.read_text() else ()
