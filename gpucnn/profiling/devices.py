"""The device that a profile is of: its name, its clock, and what a kernel takes of it."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from gpucnn.ops.base import Ops
from gpucnn.profiling.clocks import CudaClock
from gpucnn.profiling.spans import Launch
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.report import MULTIPROCESSORS, occupancy


def cuda_launcher(ops: Ops) -> CudaLauncher | None:
    """The launcher of the `cuda` device, None on others."""
    launcher = getattr(ops, "launcher", None)
    return launcher if isinstance(launcher, CudaLauncher) else None


def device_clock(ops: Ops) -> CudaClock | None:
    """The clock of a device that works by itself; None where the host computes."""
    launcher = cuda_launcher(ops)
    return None if launcher is None else CudaClock(launcher.cupy)


def describe(ops: Ops) -> dict[str, Any]:
    """device, device_name, arch and versions, as JSON values."""
    launcher = cuda_launcher(ops)
    found: dict[str, Any] = {"device": ops.name, "arch": None}
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    if launcher is not None:
        runtime = launcher.cupy.cuda.runtime
        properties = runtime.getDeviceProperties(launcher.index)
        versions |= {
            "cupy": launcher.cupy.__version__,
            "cuda_runtime": str(runtime.runtimeGetVersion()),
            "cuda_driver": str(runtime.driverGetVersion()),
        }
        found |= {"device_name": properties["name"].decode(), "arch": launcher.arch}
    else:
        blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        versions["blas"] = " ".join(
            f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
            for pool in blas
        )
        found["device_name"] = _processor()
    return found | {"versions": versions}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def resources(ops: Ops, launch: Launch) -> Mapping[str, Any]:
    """The registers, shared memory and occupancy of a launch, where the device tells them."""
    launcher = cuda_launcher(ops)
    if launcher is None:
        return {}
    function = launcher.compile(launch.kernel)
    registers = int(function.num_regs)
    shared = int(function.shared_size_bytes) + launch.shared_bytes
    threads = launch.block[0] * launch.block[1] * launch.block[2]
    known = launcher.arch in MULTIPROCESSORS
    return {
        "registers": registers,
        "shared_bytes": shared,
        "occupancy": occupancy(launcher.arch, threads, registers, shared) if known else None,
    }
