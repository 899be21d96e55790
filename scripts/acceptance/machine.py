"""What the figures were measured on. Here and in timing.py stand the uses of CuPy itself."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXCLUSIVE = 3
"""cudaComputeModeExclusiveProcess: the GPU refuses a second process (nvidia-smi -c)."""
PACKAGES = ("gpucnn", "numpy", "torch", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc")


def describe(device: str) -> dict[str, Any]:
    """The GPU, its driver, versions and commit."""
    return {
        "device": device,
        **_gpu(device),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def without_pool() -> None:
    """Let CuPy allocate every array by itself."""
    import cupy

    cupy.cuda.set_allocator(None)


def _gpu(device: str) -> dict[str, Any]:
    if device == "emulator":
        return {"gpu": "emulator", "driver": None}
    import cupy

    runtime, opened = cupy.cuda.runtime, cupy.cuda.Device()
    properties = runtime.getDeviceProperties(opened.id)
    return {
        "gpu": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "l2_bytes": properties["l2CacheSize"],
        "exclusive": opened.attributes["ComputeMode"] == EXCLUSIVE,
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "driver_cuda": runtime.driverGetVersion(),
        "runtime_cuda": runtime.runtimeGetVersion(),
        "nvrtc": list(cupy.cuda.nvrtc.getVersion()),
    }


def _output(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
