"""Follow an equation of the sources to the reference, the Ops method, the kernel and the tests.

Without ID all rows and equations are listed; with --check they are counted, by group.
"""

import argparse
from typing import TYPE_CHECKING

from gpucnn.cli.tables import show
from gpucnn.errors import ConfigError

if TYPE_CHECKING:
    from gpucnn.traceability import Place, Trace

IN_THE_SOURCE_TREE = "the tests are in the source tree, not in an installed gpucnn"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One id, or the count of all."""
    parser.add_argument("id", nargs="?", metavar="ID", help="a row (A7) or an equation (S3:2.21)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="count what is implemented and tested; the exit status is 1 where something is not",
    )


def run(args: argparse.Namespace) -> int:
    """Print it; 1 where --check finds a gap."""
    from gpucnn.traceability import load

    if args.check and args.id is not None:
        raise ConfigError(f"--check counts all ids and takes none, got {args.id!r}")
    trace = load()
    if args.check:
        return _check(trace)
    return _list(trace) if args.id is None else _one(trace, args.id)


def _list(trace: "Trace") -> int:
    rows = [
        (
            statement.id,
            statement.statement,
            str(len(trace.found(statement.id, "reference", "Ops method", "library"))),
            str(len(trace.found(statement.id, "kernel"))),
            str(len(trace.found(statement.id, "test"))) if trace.tests else "",
        )
        for statement in trace.statements.values()
    ]
    columns = ("id", "statement", "Python", "kernels", "tests")
    show(f"{len(rows)} rows and equations of the sources", columns, rows, left=(0, 1))
    for name, title in trace.sources.items():
        print(f"{name}  {title}")
    print("gpucnn equations ID shows the places")
    if not trace.tests:
        print(IN_THE_SOURCE_TREE)
    return 0


def _one(trace: "Trace", id: str) -> int:
    from gpucnn.traceability import KINDS

    statement = trace.statement(id)
    lines = {
        "source": statement.source,
        "ours": statement.ours,
        "theirs": statement.theirs,
        "wrong": statement.wrong,
        "rows": ", ".join(statement.rows),
    }
    print(f"{id}  {statement.statement}")
    for name, text in lines.items():
        if text:
            print(f"{name:8}{text}")
    places = [place for kind in KINDS for place in trace.found(id, kind)]
    columns = ("what", "name", "file and line", "named as")
    show("", columns, [_cells(place) for place in places], left=(0, 1, 2, 3))
    if not trace.tests:
        print(IN_THE_SOURCE_TREE)
    return 0


def _cells(place: "Place") -> tuple[str, ...]:
    return place.kind, place.name, f"{place.path}:{place.line}", place.id


def _check(trace: "Trace") -> int:
    if not trace.tests:
        raise ConfigError(f"{IN_THE_SOURCE_TREE}: run gpucnn equations --check in a checkout")
    gaps = [
        f"{place.path}:{place.line} names {place.id}, which does not exist"
        for place in trace.unknown()
    ]
    rows = []
    for group, ids in trace.groups().items():
        implemented = [id for id in ids if trace.implemented(id)]
        tested = [id for id in ids if trace.tested(id)]
        rows.append((group, f"{len(ids)}", f"{len(implemented)}", f"{len(tested)}"))
        for what, done in (("implemented", implemented), ("tested", tested)):
            if missing := [id for id in ids if id not in done]:
                gaps.append(f"{group}: not {what}: {', '.join(missing)}")
    totals = [f"{sum(int(row[i]) for row in rows)}" for i in (1, 2, 3)]
    columns = ("group", "rows", "implemented", "tested")
    show("What the sources state", columns, [*rows, ("all", *totals)])
    for gap in gaps:
        print(gap)
    return 1 if gaps else 0
