"""What a figure needs beside it (processor, versions, commit), and the file it goes into."""

import json
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, object]:
    """The machine and the versions, without names or paths of this machine."""
    import numpy  # noqa: F401  (its BLAS shows in threadpool_info once it is loaded)

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = [f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in pools]
    return {
        "commit": _commit(),
        "processor": _processor(),
        "threads": max((pool["num_threads"] for pool in pools), default=1),
        "python": platform.python_version(),
        "blas": sorted({name.strip() for name in blas}),
        **{name: _version(name) for name in ("numpy", "torch", "gpucnn")},
    }


def record(section: str, figures: object, path: Path | None) -> Path:
    """Put `figures` and the machine under `section` of a result file; the rest of it stays.

    The file is benchmarks/results/cpu-<today>.json unless `path` is given.
    """
    RESULTS.mkdir(exist_ok=True)
    path = path or RESULTS / f"cpu-{date.today().isoformat()}.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    content[section] = {"machine": describe(), "figures": figures}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


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
