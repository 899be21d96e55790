"""What a run ran on, without naming the machine or its folders."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


def environment() -> dict[str, Any]:
    """Versions, the platform and NumPy's BLAS, as JSON values; None for what is not known.

    The BLAS's thread count belongs here: on `cpu`, the same bits need the same count.
    """
    blas: dict[str, Any] = next(
        (pool for pool in threadpool_info() if pool["user_api"] == "blas"), {}
    )
    return {
        "gpucnn": _version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas.get("internal_api"),
        "blas_version": blas.get("version"),
        "blas_threads": blas.get("num_threads"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
    }


def versions() -> dict[str, str]:
    """The versions that a checkpoint notes."""
    return {
        "gpucnn": _version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _version() -> str:
    try:
        return version("gpucnn")
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """The git commit of the source tree that gpucnn is imported from, if it is one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        run = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()
