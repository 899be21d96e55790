"""Check and time every operation over a table of shapes, beside PyTorch; compare two results.

Each operation is checked against float64 first and timed only if it is right. The result goes into
a JSON file, with a bar chart beside it.
"""

import argparse
import shlex
import sys
from pathlib import Path

from gpucnn.cli.options import add_device, chosen_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, or what to compare."""
    add_device(parser, "cpu", "cpu, cuda, cuda:N or auto")
    parser.add_argument("--shapes", metavar="FILE", help="a table of shapes (default: gpucnn's)")
    parser.add_argument(
        "--against",
        choices=("torch", "none"),
        help="what to measure beside (default: torch where it is installed)",
    )
    parser.add_argument(
        "--only", metavar="REGEX", default="", help='what to look for in "method shape"'
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        help="most images of a shape (default: on cpu 8, on cuda as many as it says)",
    )
    parser.add_argument(
        "--repeats", type=int, default=15, metavar="N", help="calls that count (default: 15)"
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="for a row: beyond it fewer repeats count, or it is left out (default: 10)",
    )
    parser.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="a row that would need more memory is left out (default: half of what is free)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE.json",
        help="the result (default: the first free of runs/benchmark/DEVICE-DATE.json, -2, ...)",
    )
    parser.add_argument(
        "--compare", nargs=2, metavar=("A.json", "B.json"), help="show what moved from A to B"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, or compare; 1 where a result was wrong or a row failed."""
    if args.compare:
        return _compare(*args.compare)
    from gpucnn.build.benchmark import benchmark, result_file
    from gpucnn.cli.tables import show
    from gpucnn.profiling.benchmark import tables
    from gpucnn.profiling.benchmark.results import FAILED, WRONG
    from gpucnn.profiling.benchmark.run import Settings

    device = chosen_device(args) or "cpu"
    images = 8 if args.images is None and device == "cpu" else args.images
    settings = Settings(args.repeats, args.max_seconds, args.max_bytes, images, args.only)
    output = result_file(args.output, device)
    found, written = benchmark(
        device,
        settings,
        output=output,
        shapes=args.shapes,
        against=args.against,
        command=shlex.join(["gpucnn", *args.argv]),
        progress=_progress,
    )
    show("\n".join(tables.heading(found)), tables.COLUMNS, tables.rows(found), left=tables.TEXTS)
    print("\n".join([*tables.summary(found), *written]))
    return 1 if any(row.status in (WRONG, FAILED) for row in found.rows) else 0


def _progress(number: int, total: int, what: str) -> None:
    """One line that is written over, where somebody looks."""
    if sys.stderr.isatty():
        end = "\r\x1b[K" if what else ""
        print(f"\r\x1b[K{number}/{total} {what}"[:120] if what else end, end="", file=sys.stderr)


def _compare(before: str, after: str) -> int:
    from gpucnn.cli.tables import show
    from gpucnn.profiling.benchmark import tables
    from gpucnn.profiling.benchmark.compare import compare
    from gpucnn.profiling.benchmark.results import read_benchmark

    found = compare(read_benchmark(before), read_benchmark(Path(after)))
    if found.moved:
        show(f"{before} -> {after}", tables.MOVED, tables.moved_rows(found), left=tables.TEXTS)
    print("\n".join(tables.comparison_summary(found)))
    return 0
