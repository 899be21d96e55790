"""Nsight Compute's and Nsight Systems' commands for a config, and whether they can run here."""

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.profiling.ncu_profile import COLLECTED
from gpucnn.profiling.nvtx import STEP

SECTIONS = ("SpeedOfLight", "MemoryWorkloadAnalysis", "Occupancy", "LaunchStats")
DRIVER = Path("/proc/driver/nvidia/params")


@dataclass(frozen=True)
class Check:
    """Whether something that a profiler needs is there, in words."""

    ok: bool
    text: str


def ncu_commands(run: Sequence[str], folder: Path, kernels: Sequence[str] = ()) -> list[str]:
    """Profile `run`, which has NVTX ranges; export it; show it. All files go to `folder`.

    Only launches inside of a step's range are collected, so the warm-up is not; `kernels` leaves
    out all others.
    """
    names = ["--kernel-name", f"regex:^({'|'.join(kernels)})$"] if kernels else []
    report, table = folder / "ncu.ncu-rep", folder / "ncu.csv"
    collect = [
        *("ncu", "--target-processes", "all", "--nvtx", "--nvtx-include", f"{STEP}/"),
        *(word for name in SECTIONS for word in ("--section", name)),
        *("--metrics", ",".join(COLLECTED), *names, "--clock-control", "none"),
        *("--force-overwrite", "--export", str(report), *run),
    ]
    export = ["ncu", "--import", str(report), "--page", "raw", "--csv", "--print-units", "base"]
    return [
        shlex.join(["mkdir", "-p", str(folder)]),
        shlex.join(collect),
        f"{shlex.join(export)} > {shlex.quote(str(table))}",
        shlex.join(["gpucnn", "profile", "--read-ncu", str(table)]),
    ]


def nsys_commands(run: Sequence[str], folder: Path) -> list[str]:
    """Trace `run`, which has NVTX ranges, and sum its kernels up by range."""
    report = folder / "nsys.nsys-rep"
    collect = ["nsys", "profile", "--trace=cuda,nvtx,osrt", "--sample=none"]
    stats = ["nsys", "stats", "--report", "nvtx_gpu_proj_sum,cuda_gpu_kern_sum", str(report)]
    return [
        shlex.join(["mkdir", "-p", str(folder)]),
        shlex.join([*collect, "--force-overwrite=true", f"--output={report}", *run]),
        shlex.join(stats),
    ]


def check_tool(name: str) -> Check:
    """Whether `name`, ncu or nsys, is on PATH."""
    path = shutil.which(name)
    if path is not None:
        return Check(True, f"{name}: {path}")
    tool = {"ncu": "Nsight Compute", "nsys": "Nsight Systems"}[name]
    page = f"https://developer.nvidia.com/{tool.lower().replace(' ', '-')}"
    return Check(
        False,
        f"{name} is not on PATH: install {tool} ({page}; the CUDA toolkit has it in its bin/)",
    )


def check_permission(params: Path = DRIVER) -> Check:
    """Whether this user may read the GPU's performance counters, as ncu does."""
    try:
        text = params.read_text()
    except OSError:
        return Check(False, f"no NVIDIA driver is loaded here: {params} is not there")
    setting = re.search(r"^RmProfilingAdminOnly: (\d+)$", text, re.MULTILINE)
    if setting is None:
        return Check(True, f"performance counters: {params} has no RmProfilingAdminOnly")
    if setting[1] == "0":
        return Check(True, "performance counters: allowed to every user")
    if os.geteuid() == 0:
        return Check(True, "performance counters: for administrators only, and you are one")
    return Check(
        False,
        "performance counters are for administrators only, so ncu will say ERR_NVGPUCTRPERM: run it"
        " with sudo, or put the line 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' into a"
        " file in /etc/modprobe.d and restart; in a container, start it with --cap-add=SYS_ADMIN"
        " (https://developer.nvidia.com/ERR_NVGPUCTRPERM)",
    )
