"""Classify pictures, or the images of .npz files, with a trained network."""

import argparse
import json
import sys

from gpucnn.cli.options import add_device, add_run, chosen_device
from gpucnn.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, FILES, --top, --json and --device."""
    add_run(parser)
    parser.add_argument("files", metavar="FILE", nargs="+", help="a picture or an .npz file")
    parser.add_argument(
        "--top", metavar="K", type=int, default=3, help="classes to name for each image (3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_device(parser, "the one of the training")


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes of each image."""
    if args.top < 1:
        raise ConfigError(f"--top must be at least 1, got {args.top}")
    device = chosen_device(args)
    from gpucnn.build import predict

    def note(line: str) -> None:
        print(line, file=sys.stderr)

    predictions = predict(args.run_folder, args.files, top_k=args.top, device=device, note=note)
    if args.json:
        print(json.dumps([_as_json(item, top) for item, top in predictions], indent=2))
        return 0
    for item, top in predictions:
        print(f"{item}  " + "  ".join(f"{name} {share:.2%}" for name, share in top))
    return 0


def _as_json(item: str, top: list[tuple[str, float]]) -> dict[str, object]:
    return {"item": item, "top": [{"class": name, "probability": p} for name, p in top]}
