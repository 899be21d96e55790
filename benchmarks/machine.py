"""What a figure needs beside it: processor, cores, versions, commit."""

import platform
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

import gpucnn


def describe() -> dict[str, object]:
    blas = [
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return {
        "date": date.today().isoformat(),
        "commit": _commit(),
        "processor": _processor(),
        "threads": [pool["num_threads"] for pool in threadpool_info()],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas,
        "torch": _torch(),
        "gpucnn": gpucnn.__version__,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def _commit() -> str:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _torch() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return str(torch.__version__)
