"""What several commands share: options, and the status of an interrupted run."""

import argparse
import sys

INTERRUPTED = 130


def add_config(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """CONFIG and --set."""
    parser.add_argument(
        "config", metavar="CONFIG", nargs="?" if optional else None, help="a YAML file"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="change one value, e.g. train.epochs=3 or model.layers.0.conv2d.filters=8;"
        " may be given many times",
    )


def add_device(
    parser: argparse.ArgumentParser,
    default: str,
    kinds: str = "cpu, cuda, cuda:N, emulator or auto",
) -> None:
    """--device; `default` and `kinds` in words."""
    parser.add_argument("--device", metavar="D", help=f"{kinds} (default: {default})")


def add_run(parser: argparse.ArgumentParser) -> None:
    """RUN."""
    parser.add_argument("run_folder", metavar="RUN", help="a run folder or a checkpoint file")


def chosen_device(args: argparse.Namespace) -> str | None:
    """The device that --device means; for auto, one line says which that is and why."""
    if args.device != "auto":
        device: str | None = args.device
        return device
    from gpucnn.build import resolve_device

    device, line = resolve_device("auto")
    print(line, file=sys.stderr)
    return device
