"""The command line: parse, call one function of gpucnn, report. One module a command.

Exit status: 0 done; 2 the user's mistake, one message and no traceback; 1 a fault; 130 interrupted.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from gpucnn.cli import (
    check,
    doctor,
    download_data,
    equations,
    evaluate,
    explain,
    kernels,
    predict,
    profile,
    schema,
    train,
)
from gpucnn.cli.options import INTERRUPTED
from gpucnn.errors import ConfigError, GpucnnError

COMMANDS = (
    *(train, evaluate, predict, check, profile, kernels, equations, explain),
    *(download_data, doctor, schema),
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are gpucnn's: one message, no usage dump."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # What the library has to say while it works, such as the file that it downloads.
    log, handler = logging.getLogger("gpucnn"), logging.StreamHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except GpucnnError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        print("gpucnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) left: nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # A file that the user named and the system refuses; other faults show their trace.
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}", 2)
    finally:
        log.removeHandler(handler)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(prog="gpucnn", description="Train and use CNNs.", allow_abbrev=False)
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        summary = (module.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(
            name, help=summary, description=module.__doc__, allow_abbrev=False
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def _run(argv: Sequence[str] | None) -> int:
    top = parser()
    try:
        args = top.parse_args(argv)
    except SystemExit as done:  # --help
        return int(done.code or 0)
    if args.version:
        import gpucnn

        print(f"gpucnn {gpucnn.__version__}")
        return 0
    if not hasattr(args, "run"):
        top.error("name a command")
    status: int = args.run(args)
    return status


def _fail(message: str, status: int) -> int:
    print(f"gpucnn: error: {message}", file=sys.stderr)
    return status
