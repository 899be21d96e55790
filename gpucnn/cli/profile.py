"""Time training steps by layer and pass, by method and by kernel, against the device's ceilings.

Writes profile.json and profile.csv, and prints their tables. On cpu the rows are the methods of the
contract, timed by the host's clock; on cuda its kernels too, by CUDA events.
"""

import argparse

from gpucnn.cli.options import add_config, add_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, --set, --device, --steps, --synthetic and --output."""
    add_config(parser)
    add_device(parser)
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
        "--output", metavar="DIR", help="where the files go (default: profile/ in the config's)"
    )


def run(args: argparse.Namespace) -> int:
    """Profile, write the files, print the tables."""
    from rich.console import Console

    from gpucnn.build.profile import profile, profile_folder
    from gpucnn.config import load_config
    from gpucnn.profiling.files import ProfileFolder
    from gpucnn.profiling.tables import print_profile

    config = load_config(args.config, overrides=args.overrides, device=args.device)
    folder = ProfileFolder(profile_folder(config, args.output))
    folder.check_free()
    found, _ = profile(config, steps=args.steps, synthetic=args.synthetic, name=str(args.config))
    folder.create()
    folder.write(found)
    console = Console()
    print_profile(console, found)
    console.print(f"files in {folder.path}", highlight=False, markup=False, soft_wrap=True)
    return 0
