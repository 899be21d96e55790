"""What a figure needs beside it (processor, versions, commit), and the file it goes into."""

import json
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from gpucnn.errors import DeviceError
from gpucnn.ops import Ops
from gpucnn.profiling.benchmark.device import Device, import_torch
from gpucnn.profiling.devices import describe as describe_device

RESULTS = Path(__file__).parent / "results"


def describe(ops: Ops | None = None) -> dict[str, Any]:
    """The machine and the versions, without names or paths of this machine; with the GPU of ops."""
    import numpy  # noqa: F401  (its BLAS shows in threadpool_info once it is loaded)

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = [f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in pools]
    found = {
        "commit": _commit(),
        "processor": _processor(),
        "threads": max((pool["num_threads"] for pool in pools), default=1),
        "python": platform.python_version(),
        "blas": sorted({name.strip() for name in blas}),
        **{name: _version(name) for name in ("numpy", "torch", "gpucnn")},
    }
    if _on_gpu(ops):
        device = describe_device(ops)
        found |= {"gpu": device["device_name"], **device["versions"]}
    return found


def record(
    section: str, figures: object, path: Path | None = None, *, ops: Ops | None = None
) -> Path:
    """Put `figures` and the machine under `section` of a result file; the rest of it stays.

    The file is benchmarks/results/cpu-<today>.json, on a GPU <gpu>-<today>.json, unless `path` is
    given.
    """
    RESULTS.mkdir(exist_ok=True)
    machine = describe(ops)
    stem = machine.get("gpu", "cpu").lower().replace(" ", "-").replace("/", "-")
    path = path or RESULTS / f"{stem}-{date.today().isoformat()}.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    content[section] = {"machine": machine, "figures": figures}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def torch_on(ops: Ops, against: str | None) -> Any:
    """PyTorch for the device of ops: None with "none", or without it by default.

    DeviceError where it is asked for and missing, or sees no GPU, and for the emulator.
    """
    device, torch = Device(ops), import_torch(against)
    if torch is None or device.torch_device == "cpu":
        return torch
    if torch.cuda.is_available():
        torch.cuda.set_device(device.torch_device)
        return torch
    reason = f"PyTorch {torch.__version__} sees no GPU"
    if against is not None:
        raise DeviceError(f"--against torch: {reason}; use --against none")
    print(f"{reason}: gpucnn alone")
    return None


def _on_gpu(ops: Ops | None) -> bool:
    return ops is not None and ops.name.startswith("cuda")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def _commit() -> str:
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
