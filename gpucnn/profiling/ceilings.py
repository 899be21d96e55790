"""What a device reaches at its best: a large copy and a large matrix product, measured once."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.ops.cpu import parallel
from gpucnn.profiling.clocks import Clock, CudaClock, HostClock
from gpucnn.profiling.devices import cuda_launcher, describe
from gpucnn.profiling.profile import Ceilings
from gpucnn.runtime.emulator_build import cache_folder
from gpucnn.training.files import write_atomically

REPEATS = 7
"""The best of them counts: a ceiling is what can be reached."""

COPY_BYTES = {"cpu": 64 * 2**20, "cuda": 512 * 2**20}
"""Beyond any cache, with the copy as large again."""

GEMM_SIZE = {"cpu": 1536, "cuda": 8192}


def ceilings(ops: Ops, folder: Path | None = None) -> Ceilings | None:
    """The ceilings of `cpu` or `cuda`, measured if they were not yet with these versions.

    None on `emulator`, whose speed says nothing about a GPU. A file that cannot be read, or is no
    longer whole, is measured anew.
    """
    if ops.name == "emulator":
        return None
    identity = describe(ops)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = (folder or cache_folder() / "ceilings") / f"{key}.json"
    try:
        found = Ceilings(**json.loads(path.read_text()))
        # A file of before may name the folder that the home is in.
        return replace(found, source=_without_home(found.source))
    except (OSError, ValueError, TypeError):
        pass
    found = measure(ops, f"measured {date.today().isoformat()}, kept in {_without_home(str(path))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(asdict(found), indent=1) + "\n").encode())
    return found


def _without_home(text: str) -> str:
    """With ~ for the home folder: profiles are shown to others."""
    home = os.path.expanduser("~").rstrip(os.sep)
    return text.replace(home + os.sep, "~" + os.sep) if home else text


def measure(ops: Ops, source: str) -> Ceilings:
    """Measure now: a few seconds on a CPU, less on a GPU."""
    launcher = cuda_launcher(ops)
    kind = "cpu" if launcher is None else "cuda"
    xp = np if launcher is None else launcher.cupy
    timed = _host_seconds if launcher is None else partial(_device_seconds, launcher.cupy)
    count, size = COPY_BYTES[kind] // 4, GEMM_SIZE[kind]
    a, b = xp.ones(count, "float32"), xp.zeros(count, "float32")
    copy = partial(_copy, a, b) if launcher is None else partial(xp.copyto, b, a)
    copied = timed(copy)
    del a, b
    x, y, out = (xp.ones((size, size), "float32") for _ in range(3))
    multiplied = timed(partial(xp.matmul, x, y, out=out))
    return Ceilings(
        copy_gb_s=2 * COPY_BYTES[kind] / copied / 1e9,
        gemm_tflops=2 * size**3 / multiplied / 1e12,
        device=describe(ops)["device_name"],
        source=source,
    )


def _copy(a: Any, b: Any) -> None:
    """On as many threads as the operations of `cpu` use."""
    parts = parallel.ranges(a.size, a.size)
    parallel.run(partial(np.copyto, b[low:high], a[low:high]) for low, high in parts)


def _host_seconds(task: Callable[[], object], clock: Clock | None = None) -> float:
    clock = clock or HostClock()
    task()
    best = min(_elapsed(task, clock) for _ in range(REPEATS))
    return max(best, 1) / 1e9


def _elapsed(task: Callable[[], object], clock: Clock) -> int:
    start = clock.mark()
    task()
    return clock.mark() - start


def _device_seconds(cupy: Any, task: Callable[[], object]) -> float:
    clock = CudaClock(cupy)
    task()
    clock.begin()
    marks = [clock.mark()]
    for _ in range(REPEATS):
        task()
        marks.append(clock.mark())
    clock.wait()
    times = clock.resolve(marks)
    return max(min(b - a for a, b in pairwise(times)), 1) / 1e9
