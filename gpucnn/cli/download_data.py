"""Fetch a data set into a folder and verify its checksums."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME and --root."""
    parser.add_argument("name", metavar="NAME", help="mnist, fashion_mnist or cifar10")
    parser.add_argument("--root", metavar="DIR", help="the folder (default: data/NAME)")


def run(args: argparse.Namespace) -> int:
    """Fetch what is missing and say where it lies."""
    from gpucnn.data import download_dataset

    root = args.root or f"data/{args.name}"
    download_dataset(args.name, root=root)
    print(f"{args.name} is complete in {root}")
    return 0
