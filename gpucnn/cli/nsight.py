"""What `gpucnn profile` does with NVIDIA's profilers: print their commands, read ncu's export."""

import argparse
import shlex

from gpucnn.errors import ConfigError

NCU_STEPS, NSYS_STEPS = 1, 5
"""ncu runs every kernel many times over."""


def add_nsight(parser: argparse.ArgumentParser) -> None:
    """--nvtx, --ncu, --nsys, --kernel and --read-ncu."""
    group = parser.add_argument_group("NVIDIA's profilers")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--nvtx",
        action="store_true",
        help="time nothing and write nothing, but mark NVTX ranges by layer, pass and kernel for a"
        " profiler outside, such as nsys or ncu",
    )
    which.add_argument(
        "--ncu",
        action="store_true",
        help="print the commands that measure CONFIG's kernels with Nsight Compute, and check that"
        " it can run here",
    )
    which.add_argument(
        "--nsys",
        action="store_true",
        help="the same for a timeline with Nsight Systems",
    )
    which.add_argument(
        "--read-ncu",
        metavar="FILE",
        help="show what Nsight Compute exported (ncu --import … --page raw --csv); without CONFIG",
    )
    group.add_argument(
        "--kernel",
        metavar="NAME",
        action="append",
        default=[],
        help="with --ncu: only this kernel, as gpucnn kernels list names it; may be given many"
        " times",
    )


def print_commands(args: argparse.Namespace) -> int:
    """Print what to run, ready to paste; 1 where something that it needs is missing here."""
    from gpucnn.build.profile import profile_folder
    from gpucnn.config import load_config
    from gpucnn.profiling import ncu
    from gpucnn.profiling.run import Plan

    if args.device is not None and not args.device.startswith("cuda"):
        raise ConfigError(
            f"--device must be cuda or cuda:N for NVIDIA's profilers, got {args.device!r}"
        )
    _check_kernels(args.kernel)
    folder = profile_folder(load_config(args.config, overrides=args.overrides), args.output)
    usual = NCU_STEPS if args.ncu else NSYS_STEPS
    steps = usual if args.steps is None else Plan.of("cuda", args.steps).steps
    run = [
        *("gpucnn", "profile", args.config, "--device", args.device or "cuda", "--nvtx"),
        *("--steps", str(steps)),
        *(["--synthetic"] if args.synthetic else []),
        *(word for change in args.overrides for word in ("--set", change)),
    ]
    if args.ncu:
        checks = [ncu.check_tool("ncu"), ncu.check_permission()]
        commands = ncu.ncu_commands(run, folder, args.kernel)
    else:
        checks = [ncu.check_tool("nsys")]
        commands = ncu.nsys_commands(run, folder)
    for check in checks:
        print(f"# {'' if check.ok else 'MISSING: '}{check.text}")
    print("\n".join(commands))
    return 0 if all(check.ok for check in checks) else 1


def _check_kernels(names: list[str]) -> None:
    from gpucnn.runtime.registry import files, symbols

    known = {symbol for file in files() for symbol in symbols(file)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"--kernel: no kernel is named {', '.join(unknown)}: gpucnn kernels list shows them"
        )


def show_ncu(args: argparse.Namespace) -> int:
    """Print the tables of an exported file; with --output, write them as a profile's files."""
    from rich.console import Console

    from gpucnn.profiling.files import ProfileFolder
    from gpucnn.profiling.ncu_profile import read_ncu
    from gpucnn.profiling.outputs import write_outputs
    from gpucnn.profiling.tables import print_profile

    if args.config is not None:
        raise ConfigError(
            f"--read-ncu shows {args.read_ncu} alone: leave out {shlex.quote(args.config)}"
        )
    found = read_ncu(args.read_ncu)
    notes: list[str] = []
    if args.output is not None:
        folder = ProfileFolder(args.output)
        folder.check_free()
        folder.create()
        notes = write_outputs(folder.path, found, ())
        folder.write(found)
    console = Console()
    print_profile(console, found)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    return 0
