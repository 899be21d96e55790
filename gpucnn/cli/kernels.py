"""List the CUDA kernels, report what they take of a GPU, or compile them ahead.

`list` and `report` need no GPU; `report` needs NVRTC (pip install nvidia-cuda-nvrtc).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpucnn.cli.tables import show
from gpucnn.errors import ConfigError

if TYPE_CHECKING:
    from gpucnn.runtime.registry import Build

ACTIONS = ("list", "report", "build")
REPORTED = "sm_80,sm_90,sm_120"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action, and what narrows it down."""
    parser.add_argument("action", choices=ACTIONS, help="what to do with the kernels")
    parser.add_argument("names", nargs="*", metavar="NAME", help="files (default: all)")
    parser.add_argument(
        "--arch",
        help=f"report: architectures (default: {REPORTED}; all of them for a budget)",
    )
    parser.add_argument(
        "--write-budget",
        metavar="FILE",
        help="report: write the figures as the new budget; beside NAMEs, those of the other kernels"
        " stay",
    )
    parser.add_argument("--device", default="cuda", help="build: cuda, cuda:N or emulator")


def run(args: argparse.Namespace) -> int:
    """Do it; 1 where a kernel is beyond its budget."""
    builds = _chosen(args.names)
    if args.action == "list":
        return _list(builds)
    if args.action == "build":
        return _build(builds, args.device)
    return _report(builds, args)


def _chosen(names: list[str]) -> "list[Build]":
    from gpucnn.runtime import registry

    unknown = set(names) - set(registry.files())
    if unknown:
        raise ConfigError(
            f"no kernel file is named {', '.join(sorted(unknown))}: gpucnn kernels list shows them"
        )
    return [build for build in registry.builds() if not names or build.file in names]


def _list(builds: "list[Build]") -> int:
    variants: dict[tuple[str, str], list[str]] = {}
    for build in builds:
        for symbol in build.symbols:
            variants.setdefault((build.file, symbol), []).append(f"{build.type} {build.variant}")
    rows = [
        (f"kernels/{file}.cu", symbol, "; ".join(text.strip() for text in texts))
        for (file, symbol), texts in variants.items()
    ]
    show(f"{len(rows)} kernels", ("file", "kernel", "types and macros"), rows, left=(0, 1, 2))
    return 0


def _report(builds: "list[Build]", args: argparse.Namespace) -> int:
    from gpucnn.runtime import report

    usual = REPORTED if args.write_budget is None else ",".join(report.MULTIPROCESSORS)
    archs = (args.arch or usual).split(",")
    unknown = [arch for arch in archs if arch not in report.MULTIPROCESSORS]
    if unknown:
        known = ", ".join(report.MULTIPROCESSORS)
        raise ConfigError(f"--arch must be of {known}, got {', '.join(unknown)}")
    found = list(report.report(builds, archs))
    show(
        f"{len(found)} compiled kernels, by NVRTC for {', '.join(archs)}",
        ("kernel", "arch", "threads", "registers", "spilled", "shared", "occupancy"),
        [
            (
                usage.key,
                usage.arch,
                f"{usage.threads}",
                f"{usage.registers}",
                f"{usage.spilled}",
                f"{usage.shared:,}",
                f"{usage.occupancy:.0%}",
            )
            for usage in found
        ],
    )
    if args.write_budget is not None:
        report.write_budget(found, Path(args.write_budget), keep=bool(args.names))
        return 0
    budget = report.read_budget()
    faults = [fault for usage in found for fault in report.beyond(usage, budget)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _build(builds: "list[Build]", device: str) -> int:
    from gpucnn.ops import get_ops
    from gpucnn.runtime.cuda import CudaLauncher
    from gpucnn.runtime.emulator import load

    if device == "cpu":
        raise ConfigError("--device must be cuda, cuda:N or emulator, got 'cpu'")
    launcher = getattr(get_ops(device), "launcher", None)
    for build in builds:
        for kernel in build.kernels():
            if isinstance(launcher, CudaLauncher):
                launcher.compile(kernel)
            else:
                load(kernel.file, kernel.source, kernel.macros, checked=False)
    print(f"{len(builds)} builds of kernels are compiled for {device} and kept")
    return 0
