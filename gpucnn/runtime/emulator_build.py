"""Compiles the emulator and the kernels it runs, and keeps what was compiled.

A library's name holds a hash of everything it is made of: texts, flags, the compiler's version. So
a library that is there is right, and processes that build the same one at the same time replace it
with its equal.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from gpucnn.errors import DeviceError, KernelError

_INCLUDE = Path(__file__).parent / "emulator_include"
_FLAGS = ("-std=c++17", "-fPIC", "-shared", "-ffp-contract=fast", "-Wno-unknown-pragmas")
# For checked mode every access calls the checker, whole as the source has it: scalar replacement
# would split a float4. DWARF 5 as g++ writes it loses the file names of #line.
_CHECKED_FLAGS = ("-O1", "-gdwarf-4", "-fsanitize=thread", "-fno-tree-sra", "-DGPUCNN_CHECKED")
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\(")
# The linker names the ends of the section; without __shared__ variables there is none.
_IMAGES = """
#line 1 "emulator"
extern "C" __attribute__((weak, visibility("hidden"))) unsigned char
    __start_gpucnn_shared[], __stop_gpucnn_shared[];
"""
_IMAGE = """
static void gpucnn_call_{0}(void** args) {{ gpucnn_emulator::call({0}, args); }}
extern "C" const gpucnn_emulator::Image gpucnn_image_{0} = {{
    gpucnn_call_{0}, __start_gpucnn_shared, __stop_gpucnn_shared}};
"""


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
def build_runtime() -> Path:
    """The library of the scheduler and the checker, which kernels link to."""
    files = sorted(_INCLUDE.glob("*.cpp"))
    flags = (*_FLAGS, "-O2", "-I", str(_INCLUDE))
    content = [path.read_text() for path in sorted(_INCLUDE.iterdir())]
    return _library("libgpucnn_emulator", content, flags, [str(path) for path in files])


def build_kernel(
    name: str, source: str, macros: tuple[tuple[str, str], ...], *, checked: bool
) -> Path:
    """The library of a .cu file's assembled text; each kernel in it has a gpucnn_image_SYMBOL."""
    runtime = build_runtime()
    text = source + _IMAGES + "".join(map(_IMAGE.format, dict.fromkeys(_KERNEL.findall(source))))
    flags = (
        *_FLAGS, *_machine_flags(), *(_CHECKED_FLAGS if checked else ("-O2",)),
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
    if target.exists():
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
    return target


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
        return Path(tempfile.mkdtemp(prefix="gpucnn-"))


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
