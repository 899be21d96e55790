"""What of gpucnn's surroundings is there, what is missing, and the one command that mends it."""

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

CUPY_DISTRIBUTIONS = (
    "cupy",
    "cupy-cuda11x",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "cupy-rocm-4-3",
    "cupy-rocm-5-0",
    "cupy-rocm-7-0",
)
# Run in a process of its own: a broken CuPy or driver can then not take the doctor down with it.
CUPY_PROBE = """
import json, cupy
found = {"version": cupy.__version__, "available": bool(cupy.cuda.is_available())}
if found["available"]:
    free, total = cupy.cuda.runtime.memGetInfo()
    found["free"] = free
print(json.dumps(found))
"""
OK, MISSING, PROBLEM = "OK", "missing", "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `required`: gpucnn does not run unless this is OK."""

    topic: str
    status: str
    detail: str
    remedy: str = ""
    required: bool = False


def examine() -> list[Finding]:
    """Look at everything gpucnn can use, from the interpreter to the GPU."""
    driver, cuda = _driver()
    return [
        _python(),
        *(_requirement(*each) for each in REQUIREMENTS),
        *_blas(),
        driver,
        *_gpus(driver),
        *_cupy(cuda),
        _compiler("g++", "compiles the kernels for the emulator", "apt install g++"),
        _compiler("nvcc", "optional: CuPy brings NVRTC, its own compiler", "none needed"),
        _optional(
            "matplotlib",
            "draws curves.png and the pictures of profiles",
            'pip install "gpucnn[plot]"',
        ),
        _optional("pillow", "reads image files", 'pip install "gpucnn[images]"'),
        _optional("torch", "optional: some tests compare with it", "pip install torch"),
    ]


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether gpucnn runs at all: every required part is OK."""
    return all(finding.status == OK for finding in findings if finding.required)


# distribution, module, lowest version: as in pyproject.toml, which a test compares with this.
REQUIREMENTS = (
    ("numpy", "numpy", (2,)),
    ("pyyaml", "yaml", (6,)),
    ("pydantic", "pydantic", (2, 7)),
    ("rich", "rich", (13,)),
    ("safetensors", "safetensors", (0, 4, 3)),
    ("threadpoolctl", "threadpoolctl", (3, 5)),
)


def _python() -> Finding:
    return Finding("Python", OK, f"{platform.python_version()} at {sys.executable}", required=True)


def _requirement(distribution: str, module: str, lowest: tuple[int, ...]) -> Finding:
    least = ".".join(map(str, lowest))
    remedy = f'pip install "{distribution}>={least}"'
    found = _version(distribution)
    if found is None:
        return Finding(distribution, MISSING, "not installed", remedy, required=True)
    if _numbers(found) < lowest:
        detail = f"{found} is older than {least}"
        return Finding(distribution, PROBLEM, detail, remedy, required=True)
    try:
        import_module(module)
    except Exception as error:  # whatever a damaged installation raises
        detail = f"{found} does not import: {error}"
        remedy = f"pip install --force-reinstall {distribution}"
        return Finding(distribution, PROBLEM, detail, remedy, required=True)
    return Finding(distribution, OK, found, required=True)


def _blas() -> list[Finding]:
    """The libraries that do the matrix products of the `cpu` device."""
    try:
        pools = _thread_pools()
    except ImportError:
        return [Finding("BLAS", MISSING, "needs numpy and threadpoolctl", "see above")]
    libraries = [pool for pool in pools if pool["user_api"] == "blas"]
    if not libraries:
        remedy = "pip install --force-reinstall numpy (its wheels carry OpenBLAS)"
        return [Finding("BLAS", PROBLEM, "none found: NumPy's own loops are slow", remedy)]
    return [
        Finding(
            "BLAS",
            OK,
            f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
            f" ({os.cpu_count()} CPUs), {pool.get('architecture', 'unknown architecture')}",
        )
        for pool in libraries
    ]


def _thread_pools() -> list[dict[str, Any]]:
    import_module("numpy")  # its BLAS is visible only once it is loaded
    pools: list[dict[str, Any]] = import_module("threadpoolctl").threadpool_info()
    return pools


def _driver() -> tuple[Finding, tuple[int, int] | None]:
    """The NVIDIA driver, and the highest CUDA version that it runs."""
    try:
        library = _libcuda()
    except OSError:
        remedy = "none on a machine without an NVIDIA GPU; else install NVIDIA's driver"
        return Finding("driver", MISSING, "libcuda.so.1 not found", remedy), None
    number = ctypes.c_int(0)
    status = library.cuInit(0) or library.cuDriverGetVersion(ctypes.byref(number))
    if status:
        remedy = "run nvidia-smi; reload or reinstall NVIDIA's driver"
        return Finding("driver", PROBLEM, f"libcuda answers error {status}", remedy), None
    cuda = number.value // 1000, number.value % 1000 // 10
    release = _smi("driver_version")
    detail = f"{release[0] if release else 'libcuda'}, up to CUDA {cuda[0]}.{cuda[1]}"
    return Finding("driver", OK, detail), cuda


def _libcuda() -> Any:
    return ctypes.CDLL("libcuda.so.1")


def _gpus(driver: Finding) -> list[Finding]:
    if driver.status != OK:
        return [Finding("GPU", MISSING, "no working driver to ask", "see driver")]
    names = _smi("name,memory.total")
    if not names:
        remedy = "check nvidia-smi, and CUDA_VISIBLE_DEVICES or the container's --gpus option"
        return [Finding("GPU", MISSING, "the driver reports none", remedy)]
    return [Finding(f"GPU {i}", OK, name) for i, name in enumerate(names)]


def _cupy(cuda: tuple[int, int] | None) -> list[Finding]:
    """`cuda` is the driver's version: it decides which CuPy fits, and whether one is of use."""
    installed = [name for name in CUPY_DISTRIBUTIONS if _version(name)]
    fitting = "cuda13" if cuda is None or cuda >= (13, 0) else "cuda12"
    install = f'pip install "gpucnn[{fitting}]"'
    if not installed:
        reason = install if cuda else f"of use with an NVIDIA GPU only: {install}"
        return [Finding("CuPy", MISSING, "not installed", reason)]
    listed = ", ".join(f"{name} {_version(name)}" for name in installed)
    if len(installed) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)} && {install}"
        return [Finding("CuPy", PROBLEM, f"{listed}: they overwrite each other's files", remedy)]
    probe = _run([sys.executable, "-c", CUPY_PROBE])
    if probe is None or probe.returncode:
        cause = probe.stderr.strip().splitlines()[-1:] if probe else ["no answer in time"]
        remedy = f"pip uninstall -y {installed[0]} && {install}"
        return [Finding("CuPy", PROBLEM, f"{listed} does not import: {' '.join(cause)}", remedy)]
    found = json.loads(probe.stdout)
    if not found["available"]:
        detail = f"{listed} imports, but finds no GPU that it can use"
        if cuda is None:
            return [Finding("CuPy", MISSING, detail, "see driver")]
        remedy = f"pip uninstall -y {installed[0]} && {install}"
        return [Finding("CuPy", PROBLEM, detail, remedy)]
    free = f"{found['free'] / 2**30:.1f} GiB free on the first GPU"
    return [Finding("CuPy", OK, f"{listed}, {free}")]


def _compiler(name: str, purpose: str, remedy: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, MISSING, purpose, remedy)
    answer = _run([path, "--version"])
    if answer is None or answer.returncode or not answer.stdout.strip():
        return Finding(name, PROBLEM, f"{path} --version fails", remedy)
    # nvcc names its release on the line with "release", g++ on the first.
    lines = answer.stdout.strip().splitlines()
    return Finding(name, OK, next((line for line in lines if "release" in line), lines[0]).strip())


def _optional(distribution: str, purpose: str, remedy: str) -> Finding:
    found = _version(distribution)
    if found is None:
        return Finding(distribution, MISSING, purpose, remedy)
    return Finding(distribution, OK, found)


def _smi(fields: str) -> list[str]:
    """nvidia-smi's answer, a line a GPU; empty where it is missing or fails."""
    answer = _run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"])
    if answer is None or answer.returncode:
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.1rc1" -> (2,), "0.4.3" -> (0, 4, 3)."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
