"""Time training steps by layer and pass, by method and by kernel, against the device's ceilings.

Writes profile.html, pictures, a trace, and the figures as JSON and CSV; prints tables. On cpu the
rows are the methods of the contract, timed by the host's clock; on cuda its kernels too, by CUDA
events. On the emulator no time is measured: every access is counted by kernel and source line, and
times are predicted for the GPU that --gpu names.
"""

import argparse
import shlex

from gpucnn.cli.nsight import add_nsight, print_commands, show_ncu
from gpucnn.cli.options import add_config, add_device
from gpucnn.errors import ConfigError
from gpucnn.profiling.gpus import DEFAULT, GPUS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, and what narrows it down."""
    add_config(parser, optional=True)
    add_device(parser, "the config's")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="training steps that count, after the warm-up (default: 20; on the emulator 1)",
    )
    parser.add_argument(
        "--synthetic",
        action="store_true",
        help="made-up images of the model's input size instead of the config's data",
    )
    parser.add_argument(
        "--gpu",
        metavar="G",
        help=f"with --device emulator: the GPU to predict for, of {', '.join(GPUS)}"
        f" (default: {DEFAULT})",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="where the files go (default: profile/ in the config's)"
    )
    add_nsight(parser)


def run(args: argparse.Namespace) -> int:
    """Profile, write the files, print the tables; or what NVIDIA's profilers are asked for."""
    if args.read_ncu is not None:
        return show_ncu(args)
    if args.config is None:
        raise ConfigError("profile needs a CONFIG, or --read-ncu FILE (see gpucnn profile --help)")
    if args.kernel and not args.ncu:
        raise ConfigError("--kernel chooses what --ncu measures: give --ncu with it")
    if args.ncu or args.nsys:
        return print_commands(args)
    from rich.console import Console

    from gpucnn.build.profile import profile, profile_folder, run_with_nvtx
    from gpucnn.config import load_config
    from gpucnn.profiling.files import ProfileFolder
    from gpucnn.profiling.outputs import write_outputs
    from gpucnn.profiling.tables import print_profile

    config = load_config(args.config, overrides=args.overrides, device=args.device)
    if args.nvtx:
        steps = run_with_nvtx(config, steps=args.steps, synthetic=args.synthetic)
        print(f"{steps} steps had NVTX ranges; nothing was timed")
        return 0
    folder = ProfileFolder(profile_folder(config, args.output))
    folder.check_free()
    found, spans = profile(
        config,
        steps=args.steps,
        synthetic=args.synthetic,
        name=str(args.config),
        gpu=args.gpu,
        command=shlex.join(["gpucnn", *args.argv]),
    )
    folder.create()
    notes = write_outputs(folder.path, found, spans)
    folder.write(found)
    console = Console()
    print_profile(console, found)
    for line in (*notes, f"files in {folder.path}: profile.html shows them together"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0
