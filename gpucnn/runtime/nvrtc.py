"""NVRTC through ctypes: compiles for any GPU, and needs neither a GPU nor a driver nor CuPy.

The library comes with `pip install nvidia-cuda-nvrtc` or a CUDA toolkit.
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

from gpucnn.errors import DeviceError, KernelError

# What CuPy adds to the options of gpucnn/runtime/cuda.py, and a report on registers and spills.
OPTIONS = (
    "-std=c++17",
    "-ftz=true",
    "--device-as-default-execution-space",
    "--ptxas-options=-v",
)


def find() -> str:
    """The library's path or name: of the PyPI wheel, else as the system's loader finds it."""
    for folder in sys.path:
        found = sorted(Path(folder or ".").glob("nvidia/*/lib/libnvrtc.so.*"))
        if found:
            return str(found[-1])
    for name in ("libnvrtc.so.13", "libnvrtc.so.12"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    raise DeviceError("NVRTC is not installed: pip install nvidia-cuda-nvrtc")


@cache
def _library() -> Any:
    return ctypes.CDLL(find())


def version() -> tuple[int, int]:
    """NVRTC's version, as (13, 0)."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def architectures() -> tuple[str, ...]:
    """What this NVRTC compiles for, as ("sm_75", ...)."""
    count = ctypes.c_int()
    _library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    _library().nvrtcGetSupportedArchs(numbers)
    return tuple(f"sm_{number}" for number in numbers)


def compile_log(source: str, name: str, macros: tuple[tuple[str, str], ...], arch: str) -> str:
    """Compile to machine code of `arch`, and return what the compiler reports.

    Raises KernelError with the compiler's messages where the text does not compile.
    """
    return compiled(source, name, macros, arch)[0]


def compiled(
    source: str, name: str, macros: tuple[tuple[str, str], ...], arch: str
) -> tuple[str, bytes]:
    """The same with the machine code, as a cubin file.

    Raises KernelError with the compiler's messages where the text does not compile.
    """
    return _compiled(source, name, macros, arch, "CUBIN")


def ptx(source: str, name: str, macros: tuple[tuple[str, str], ...], arch: str) -> str:
    """The instructions before they are made those of one GPU; `arch` as "compute_90".

    Raises KernelError with the compiler's messages where the text does not compile.
    """
    return _compiled(source, name, macros, arch, "PTX")[1].decode()


def _compiled(
    source: str, name: str, macros: tuple[tuple[str, str], ...], arch: str, kind: str
) -> tuple[str, bytes]:
    """What the compiler reports, and its "CUBIN" or "PTX"."""
    library = _library()
    program = ctypes.c_void_p()
    status = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), f"{name}.cu".encode(), 0, None, None
    )
    if status:
        raise KernelError(f"NVRTC takes no program (error {status}): reinstall nvidia-cuda-nvrtc")
    try:
        options = [f"-arch={arch}", *OPTIONS, *(f"-D{key}={value}" for key, value in macros)]
        encoded = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), encoded)
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(max(1, size.value))
        library.nvrtcGetProgramLog(program, log)
        getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        code = ctypes.create_string_buffer(max(1, size.value))
        getattr(library, f"nvrtcGet{kind}")(program, code)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode(errors="replace")
    if status:
        raise KernelError(
            f"NVRTC does not compile kernels/{name}.cu for {arch} with {dict(macros)}:\n{text}"
        )
    return text, code.raw
