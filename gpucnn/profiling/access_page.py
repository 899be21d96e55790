"""How kernels use memory, on the page: by kernel, and by source line with the line's text."""

from collections.abc import Sequence

from gpucnn.profiling import markup
from gpucnn.profiling.access import LineAccess, Traffic, faulty
from gpucnn.profiling.access_tables import UNITS
from gpucnn.profiling.labels import figure
from gpucnn.profiling.markup import Cell, Head

LINES = 200
"""Of the page; lines.csv has all."""


def traffic(rows: Sequence[Traffic]) -> str:
    """A row for each kernel."""
    heads = [Head("kernel", False), *map(Head, (
        "launches", "loaded MB", "least to load MB", "stored MB", "least to store MB",
        "times the least"))]  # fmt: skip
    body = [
        [
            Cell(row.kernel),
            Cell(f"{row.launches:g}"),
            *(_megabytes(value) for value in (row.loaded, row.least_loaded)),
            *(_megabytes(value) for value in (row.stored, row.least_stored)),
            Cell("" if row.excess is None else figure(row.excess)),
        ]
        for row in rows
    ]
    note = "Bytes of global memory in whole sectors, beside those touched at all, each once."
    return markup.section(
        "Memory traffic by kernel", markup.table("traffic", heads, body), note=note
    )


def lines(found: Sequence[LineAccess]) -> str:
    """A row for each kind of access of a line, those with a fault first."""
    first = faulty(found)
    rest = sorted((line for line in found if not line.fault), key=lambda a: -a.unit * a.units)
    heads = [
        Head("line", False),
        Head("fault", False),
        *map(Head, ("units a request", "at best", "requests")),
        *(Head(text, False) for text in ("access", "kernel")),
    ]
    body = [
        [
            Cell(line.place, code=_text(line)),
            Cell(line.fault),
            Cell(f"{line.per_request:.2f} {UNITS[line.space]}"),
            Cell(f"{line.least_per_request:.2f}"),
            Cell(f"{line.requests:,}"),
            Cell(f"{line.space} {line.access} of {line.size} B"),
            Cell(line.kernel),
        ]
        for line in [*first, *rest][:LINES]
    ]
    note = "Every access of a warp was counted, and the sectors or wavefronts that serve it."
    if len(found) > LINES:
        note += f" The first {LINES} of {len(found)}; lines.csv has all."
    return markup.section("Source lines", markup.table("lines", heads, body), note=note)


def _text(line: LineAccess) -> str:
    return f"{line.text}\n← {line.caller}" if line.caller else line.text


def _megabytes(value: int | None) -> Cell:
    return Cell("" if value is None else figure(value / 1e6))
