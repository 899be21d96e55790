"""Train the network of a config into a run folder, or go on with a run that stopped.

With --resume, CONFIG may be left out: the run's own config is taken. Of a config that is given,
only train.epochs, device and output may differ from it.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gpucnn.cli.options import INTERRUPTED, add_config, add_device
from gpucnn.errors import ConfigError

if TYPE_CHECKING:
    from gpucnn.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, --set, --device, --output, --resume, --profile-every and --nvtx."""
    add_config(parser, optional=True)
    add_device(parser, "the config's")
    parser.add_argument(
        "--output", metavar="DIR", help="the run folder (default: the config's; of --resume, RUN)"
    )
    parser.add_argument(
        "--resume", metavar="RUN", help="go on with this run folder or checkpoint file"
    )
    parser.add_argument(
        "--profile-every",
        type=int,
        metavar="N",
        help="time every N-th step by layer and method, into metrics.jsonl (gpucnn profile shows"
        " more)",
    )
    parser.add_argument(
        "--nvtx",
        action="store_true",
        help="mark NVTX ranges by layer, pass and kernel for nsys or ncu, on cuda",
    )


def run(args: argparse.Namespace) -> int:
    """Train; 130 if the run was interrupted."""
    config = _resumed_config(args) if args.resume is not None else _config(args, args.output)
    from gpucnn.build import train

    summary = train(config, resume=args.resume, profile_every=args.profile_every, nvtx=args.nvtx)
    return INTERRUPTED if summary.stop_reason == "interrupted" else 0


def _config(args: argparse.Namespace, output: str | None) -> "Config":
    from gpucnn.config import load_config

    if args.config is None:
        raise ConfigError("train needs a CONFIG, or --resume RUN (see gpucnn train --help)")
    return load_config(args.config, overrides=args.overrides, device=args.device, output=output)


def _resumed_config(args: argparse.Namespace) -> "Config":
    """The config that goes on with RUN: in its own folder, unless another output is named."""
    from gpucnn.config import parse_config
    from gpucnn.training.checkpoint import read_checkpoint
    from gpucnn.training.run_folder import find_checkpoint

    source = find_checkpoint(args.resume, best=False)
    output = args.output
    if output is None and not any(o.startswith("output=") for o in args.overrides):
        given = Path(args.resume)
        if given.is_dir():
            output = args.resume
        elif given.parent.name == "checkpoints":
            output = str(given.parent.parent)
    if args.config is not None:
        return _config(args, output)
    # JSON is YAML in which no character of a path means anything else.
    options = {"device": args.device, "output": output}
    chosen = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    text = read_checkpoint(source).config
    return parse_config(text, name=str(source), overrides=[*args.overrides, *chosen])
