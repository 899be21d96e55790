"""How kernels use memory, in words: by kernel, and by source line with the line's text."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from gpucnn.profiling.access import LineAccess, Traffic, faulty
from gpucnn.profiling.labels import figure
from gpucnn.profiling.profile import Profile

FAULTY, LARGEST = 8, 6
"""Source lines that are shown; all of them are in lines.csv."""

UNITS = {"global": "sectors", "shared": "wavefronts"}


def traffic_table(traffic: Sequence[Traffic]) -> Table:
    """A row for each kernel: megabytes of global memory, the least, and how many times that."""
    heads = ("kernel", "calls", "loaded MB", "least", "stored MB", "least", "times")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        name = head == "kernel"
        table.add_column(Text(head), justify="left" if name else "right", no_wrap=name)
    for row in traffic:
        cells = (row.loaded, row.least_loaded, row.stored, row.least_stored)
        table.add_row(
            Text(row.kernel),
            f"{row.launches:g}",
            *("" if value is None else figure(value / 1e6) for value in cells),
            "" if row.excess is None else figure(row.excess),
        )
    return table


def line_report(lines: Sequence[LineAccess]) -> list[str]:
    """The lines with faults, then those that move the most, each with its text."""
    wrong = faulty(lines)
    rest = sorted((line for line in lines if not line.fault), key=lambda a: -a.unit * a.units)
    text = []
    if wrong:
        text += [f"Source lines that waste memory accesses{_shown(FAULTY, wrong)}"]
        text += [part for line in wrong[:FAULTY] for part in describe_line(line)]
        text += [""]
    text += [f"Other source lines, the most bytes moved first{_shown(LARGEST, rest)}"]
    return text + [part for line in rest[:LARGEST] for part in describe_line(line)]


def describe_line(line: LineAccess) -> list[str]:
    """Where it is, what it says, and how its requests are served."""
    unit = UNITS[line.space]
    served = (
        f"{line.space} {line.access} of {line.size} B in {line.kernel}: {line.requests:,} requests,"
        f" {line.per_request:.2f} {unit} each, {line.least_per_request:.2f} at best"
    )
    return [
        f"  {line.place}",
        f"      {line.text}",
        *([f"      called by {line.caller}"] if line.caller else []),
        f"    {served}{f': {line.fault.upper()}' if line.fault else ''}",
    ]


def _shown(most: int, lines: Sequence[LineAccess]) -> str:
    return f" ({most} of {len(lines)}; lines.csv has all)" if len(lines) > most else ""


def prediction_heading(profile: Profile) -> list[str]:
    """That nothing here was timed, and what the figures take for granted."""
    m = profile.meta
    return [
        f"PREDICTED times, for {m['gpu']}: nothing was measured on such a device",
        *(f"  assumed: {sentence}" for sentence in m["assumptions"]),
        f"registers and occupancy: {m['static_report']}",
    ]


def prediction_summary(profile: Profile) -> list[str]:
    """The step, from its best case to its worst."""

    def middle(values: Sequence[float]) -> str:
        return figure(sorted(values)[len(values) // 2])

    return [
        f"step      {middle(profile.step_ms)} ms PREDICTED for {profile.meta['gpu']},"
        f" {middle(profile.best_ms)} at best and {middle(profile.worst_ms)} at worst;"
        " without gaps between its kernels"
    ]
