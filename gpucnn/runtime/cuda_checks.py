"""What must be right before the `cuda` device is opened: driver, device, toolkit, cache.

Each fault is a DeviceError with the one command to run. `cupy` is handed in: gpucnn/runtime/cuda.py
alone imports it.
"""

import errno
import logging
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from gpucnn.errors import DeviceError

NO_DEVICE = 100
"""cudaErrorNoDevice: what CUDA answers, in place of a count of 0, where a driver shows no GPU."""

DISTRIBUTIONS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")


def installed() -> dict[str, str]:
    """The CuPy distributions that are installed, with their versions."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = distribution(name).version
        except PackageNotFoundError:
            continue
    return found


def check_driver(cupy: Any) -> None:
    runtime = cupy.cuda.runtime
    try:
        driver = int(runtime.driverGetVersion())
    except runtime.CUDARuntimeError as error:
        raise _no_driver(error) from error
    if driver == 0:
        raise _no_driver("libcuda.so.1 is not there")
    # CUDA 12.4 is 12040. Within a major version, a driver runs newer toolkits as well.
    built = int(runtime.runtimeGetVersion())
    if driver // 1000 < built // 1000:
        names = " ".join(installed()) or "cupy"
        fitting = (
            f'pip uninstall -y {names} && pip install "gpucnn[cuda12]"'
            if driver // 1000 == 12
            else "install a newer NVIDIA driver (gpucnn needs one for CUDA 12 or 13)"
        )
        raise DeviceError(
            f"the NVIDIA driver is too old: it runs CUDA {_version(driver)}, and CuPy was built for"
            f" CUDA {_version(built)}: {fitting}"
        )


def _no_driver(cause: object) -> DeviceError:
    return DeviceError(f"no working NVIDIA driver ({cause}): install the driver and try nvidia-smi")


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def check_index(cupy: Any, index: int) -> None:
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status != NO_DEVICE:
            raise _no_driver(error) from error
        count = 0
    if count == 0:
        raise DeviceError(
            "the NVIDIA driver shows no GPU: check nvidia-smi, CUDA_VISIBLE_DEVICES and a"
            " container's --gpus option"
        )
    if index >= count:
        last = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0"
        raise DeviceError(f"this machine has {last}")


def open_device(cupy: Any, index: int) -> Any:
    """The device, to which new arrays of the caller's thread belong from now on."""
    device = cupy.cuda.Device(index)
    try:
        device.use()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"CUDA does not open it ({error}): another process may have it for itself"
            " (nvidia-smi -q -d COMPUTE,PIDS)"
        ) from error
    return device


def check_toolkit(cupy: Any, device: Any, arch: str) -> None:
    """Compile and run one of CuPy's own kernels, which need CUDA's headers: clear errors, early."""
    try:
        with device:
            probe = cupy.zeros(1, "float32")
            probe += 1
            if float(probe[0]) != 1:
                raise DeviceError("it computes wrong: check nvidia-smi")
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise DeviceError(
            "it has no free memory at all: end other programs that use it (nvidia-smi lists them)"
        ) from error
    except (RuntimeError, OSError, cupy.cuda.compiler.CompileException) as error:
        # CUDA's own errors are RuntimeErrors in CuPy.
        names = " ".join(installed()) or "cupy"
        cause = str(error).strip().splitlines()
        raise DeviceError(
            f"CuPy ({names}) does not work on it ({arch}):"
            f" {cause[0] if cause else type(error).__name__}: CUDA's headers may be missing:"
            f' pip uninstall -y {names} && pip install "gpucnn[cuda13]"'
        ) from error


def keep_cache_writable() -> None:
    """Where CuPy's cache folder cannot be written, keep kernels in memory. Before cupy is imported:
    importing it makes the folder, and fails where that fails.
    """
    folder = os.environ.get("CUPY_CACHE_DIR", os.path.expanduser("~/.cupy/kernel_cache"))
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        keep_in_memory(f"CuPy's cache folder {folder or repr(folder)}", error)


def keep_in_memory(what: str, error: OSError) -> None:
    """Tell CuPy to write no kernel to disk, and the user why."""
    os.environ["CUPY_CACHE_IN_MEMORY"] = "1"
    # Importing cupy wants a folder all the same; nothing is written there.
    os.environ["CUPY_CACHE_DIR"] = str(Path(__file__).parent)
    logging.getLogger("gpucnn").warning(
        "%s cannot be written (%s): kernels are compiled anew in every process; set CUPY_CACHE_DIR"
        " to another folder",
        what,
        error.strerror or error,
    )
