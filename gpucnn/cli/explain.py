"""Show a calculation of CNNs on small numbers, step by step, as the documents draw it.

Without CASE, lists the cases. Without options, a case shows the documents' own example; numbers
are drawn where --size, --kernel or --seed is given. Every result is compared with the library's.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpucnn.cli.tables import show
from gpucnn.errors import ConfigError

if TYPE_CHECKING:
    from rich.text import Text

    from gpucnn.explain.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CASE, its sizes and settings, and where to draw it."""
    parser.add_argument("case", metavar="CASE", nargs="?", help="what to explain")
    pair = "N or HEIGHTxWIDTH"
    parser.add_argument("--size", metavar="N", help=f"the input's size, {pair}")
    parser.add_argument("--kernel", metavar="N", help=f"the kernel's or window's size, {pair}")
    parser.add_argument("--stride", metavar="N", help=f"{pair}")
    parser.add_argument("--padding", metavar="N", help=f"{pair}, or same")
    parser.add_argument("--dilation", metavar="N", help=f"{pair}")
    parser.add_argument(
        "--rounding", choices=("strict", "floor"), help="floor: leave out what fills no window"
    )
    parser.add_argument(
        "--tie-break", choices=("row_major", "column_major"), help="which of equal maxima wins"
    )
    parser.add_argument("--power", metavar="P", type=float, help="lp-pool: the power (2)")
    parser.add_argument("--channels", metavar="N", type=int, help="channels: how many (2)")
    parser.add_argument("--filters", metavar="N", type=int, help="channels: of filters (2)")
    parser.add_argument("--classes", metavar="N", type=int, help="softmax: how many")
    parser.add_argument("--label", metavar="N", type=int, help="softmax: the right class")
    parser.add_argument("--layers", metavar="K/S,…", help="receptive-field: KERNEL/STRIDE, …")
    parser.add_argument("--seed", metavar="N", type=int, help="draw the numbers with this seed")
    parser.add_argument("--png", metavar="FILE", help="also draw it (needs matplotlib)")


def run(args: argparse.Namespace) -> int:
    """List the cases, or print one and draw it."""
    from gpucnn.explain.cases import CASES, explain
    from gpucnn.explain.text import render

    settings = _settings(args)
    if args.case is None:
        if settings.given() or args.png is not None:
            raise ConfigError("name a case before its options: gpucnn explain lists them")
        rows = [(case.name, case.shows) for case in CASES.values()]
        show("gpucnn explain CASE", ("case", "shows"), rows, left=(0, 1))
        print("Your own sizes: gpucnn explain conv --size 5 --kernel 2 --png conv.png")
        return 0
    picture = None if args.png is None else _picture(args.png)
    walk = explain(args.case, settings)
    if picture is not None:
        from gpucnn.explain.picture import draw

        # Drawn before anything is printed, so that an error is the only message.
        _write(picture, draw(walk))
    _print(render(walk))
    if picture is not None:
        print(f"\ndrawn: {picture}")
    return 0


def _settings(args: argparse.Namespace) -> "Settings":
    from gpucnn.explain.settings import Settings, parse_layers, parse_padding, parse_pair

    return Settings(
        size=parse_pair("--size", args.size),
        kernel=parse_pair("--kernel", args.kernel),
        stride=parse_pair("--stride", args.stride),
        padding=parse_padding(args.padding),
        dilation=parse_pair("--dilation", args.dilation),
        tie_break=args.tie_break,
        rounding=args.rounding,
        power=args.power,
        channels=args.channels,
        filters=args.filters,
        classes=args.classes,
        label=args.label,
        layers=parse_layers(args.layers),
        seed=args.seed,
    )


def _picture(name: str) -> Path:
    """The file to draw into, which replaces an old one; ConfigError where there can be none."""
    path = Path(name)
    if path.is_dir():
        raise ConfigError(f"--png {name} is a folder: name a file in it, such as {path / 'a.png'}")
    if not path.parent.is_dir():
        raise ConfigError(f"--png {name}: the folder {path.parent} does not exist; make it first")
    return path


def _write(path: Path, data: bytes) -> None:
    from gpucnn.training.files import write_atomically

    try:
        write_atomically(path, data)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another"
        ) from None


def _print(lines: "list[Text]") -> None:
    """Colours on a terminal, plain text into a file or pipe; ASCII where that is all there is."""
    from rich.console import Console
    from rich.text import Text

    from gpucnn.explain.text import ASCII

    console = Console(highlight=False)
    for line in lines:
        try:
            line.plain.encode(console.encoding)
        except UnicodeEncodeError:
            line = Text(line.plain.translate(ASCII))
        console.print(line, soft_wrap=True)
