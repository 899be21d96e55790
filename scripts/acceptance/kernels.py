"""Every kernel compiled ahead and loaded: the other sections find them in the caches on disk."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import gpucnn
from acceptance.sections import Deadline, Section
from gpucnn.runtime import emulator, registry
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.registry import Build

QUICK = ("add", "max_abs")
"""The files that a quick run compiles."""


def kernels(section: Section, device: str, deadline: Deadline, quick: bool) -> None:
    """What the driver says that each kernel takes; and the emulator's float32 builds."""
    launcher = gpucnn.get_ops(device).launcher  # type: ignore[attr-defined]
    builds = [build for build in registry.builds() if not quick or build.file in QUICK]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tasks: dict[str, Future[list[dict[str, Any]]]] = {
            f"{build.file} {build.type} {build.variant}".strip(): pool.submit(
                _loaded if isinstance(launcher, CudaLauncher) else _emulated, launcher, build
            )
            for build in builds
        }
        if isinstance(launcher, CudaLauncher):
            for build in builds:
                if build.type == "float":
                    name = f"{build.file} {build.variant} for the emulator"
                    tasks[name] = pool.submit(_emulated, launcher, build)

        def wait(name: str) -> None:
            for row in tasks[name].result(deadline.left):
                section.add(row)

        section.each(tasks, wait, deadline, lambda: gpucnn.get_ops(device))
        for task in tasks.values():
            task.cancel()
    section.note(builds=len(builds))


def _loaded(launcher: CudaLauncher, build: Build) -> list[dict[str, Any]]:
    rows = []
    for kernel in build.kernels():
        with launcher.device:
            function = launcher.compile(kernel)
            rows.append(
                {
                    "kernel": kernel.symbol,
                    "macros": " ".join(f"{name}={value}" for name, value in kernel.macros),
                    "registers": function.num_regs,
                    "local_bytes": function.local_size_bytes,
                    "shared_bytes": function.shared_size_bytes,
                }
            )
    return rows


def _emulated(launcher: Any, build: Build) -> list[dict[str, Any]]:
    (kernel, *_) = build.kernels()
    emulator.load(kernel.file, kernel.source, kernel.macros, checked=False)
    return []
