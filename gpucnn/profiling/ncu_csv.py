"""Reads what Nsight Compute exports with `ncu --import FILE --csv`, of its raw and details pages.

Raw page: one line a launch, a column a metric, and below the heads a line of units. Details page:
one line a metric, with its name, unit and value. Either may follow lines that ncu or the program
printed; numbers may have commas between their thousands; what was not collected is empty or n/a.
"""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.errors import DataError

NAME = "Kernel Name"
RANGES = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
LONG = ("Metric Name", "Metric Unit", "Metric Value")
NOT_COLLECTED = ("", "n/a", "N/A", "nan")

UNITS = {
    **dict.fromkeys(("s", "second"), 1e3),
    **dict.fromkeys(("ms", "msecond"), 1.0),
    **dict.fromkeys(("us", "usecond"), 1e-3),
    **dict.fromkeys(("ns", "nsecond"), 1e-6),
    "byte": 1.0,
    "Kbyte": 1e3,
    "Mbyte": 1e6,
    "Gbyte": 1e9,
    "Tbyte": 1e12,
}
"""-> milliseconds or bytes; units of other kinds are counts and percentages."""

_CHANGED = "the file is cut off or was changed, export it again"
_HEADS = re.compile(r'"(ID|Process ID)",')
_RANGE = re.compile(r'"<[^>]*>:(.*?)(?::[^:"]*){6}"')


@dataclass(frozen=True)
class NcuLaunch:
    """One launch of a kernel."""

    kernel: str
    """Without its arguments."""
    block: tuple[int, ...] | None
    capability: str
    """As "9.0"; "" where the file does not tell."""
    ranges: tuple[str, ...]
    """The NVTX ranges around it, the outermost first."""
    values: dict[str, float]
    """By metric; times in milliseconds, sizes in bytes."""


def read_launches(path: str | Path, wanted: Collection[str]) -> list[NcuLaunch]:
    """The launches of a file in their order, with those of the metrics `wanted` that it has.

    DataError where it is no such file, or damaged.
    """
    rows = _rows(Path(path))
    head, body = rows[0][1], rows[1:]
    if all(name in head for name in LONG):
        found = _from_details(path, head, body, wanted)
    else:
        found = _from_raw(path, head, body, wanted)
    if not found:
        raise DataError(f"{path} holds no launch of a kernel: profile again, with no filter")
    return found


Numbered = tuple[int, list[str]]
"""A line's number in the file, and its cells."""


def _rows(path: Path) -> list[Numbered]:
    """The line of heads and those below it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    lines = text.splitlines()
    heads = (n for n, line in enumerate(lines) if _HEADS.match(line) and f'"{NAME}"' in line)
    first = next(heads, None)
    if first is None:
        raise DataError(
            f"{path} has no line of heads with {NAME!r}: export it with ncu --import FILE.ncu-rep"
            " --page raw --csv"
        )
    # What a tool says after the table has no cells.
    table = [line for line in lines[first:] if not line.startswith("==")]
    reader, rows = csv.reader(table, strict=True), []
    try:
        for row in reader:
            rows.append((first + reader.line_num, row))
    except csv.Error as error:
        raise DataError(f"{path}, line {first + reader.line_num}: {error}: {_CHANGED}") from error
    width = len(rows[0][1])
    body = [(number, row) for number, row in rows[1:] if row]
    for number, row in body:
        if len(row) != width:
            raise DataError(
                f"{path}, line {number}: {len(row)} cells, the heads are {width}: {_CHANGED}"
            )
    return [rows[0], *body]


def _from_raw(
    path: str | Path, head: list[str], body: Sequence[Numbered], wanted: Collection[str]
) -> list[NcuLaunch]:
    metrics = [name for name in head if name in wanted]
    if not body:
        return []
    units = dict(zip(head, body[0][1], strict=True))
    if units[NAME]:
        raise DataError(
            f"{path}, line {body[0][0]}: a launch where the units should be: export the file again"
        )
    found = []
    for number, row in body[1:]:
        cells = dict(zip(head, row, strict=True))
        values = {}
        for name in metrics:
            value = _value(f"{path}, line {number}: {name}", cells[name], units[name])
            if value is not None:
                values[name] = value
        found.append(_launch(cells, values))
    return found


def _from_details(
    path: str | Path, head: list[str], body: Sequence[Numbered], wanted: Collection[str]
) -> list[NcuLaunch]:
    cells_of: dict[str, dict[str, str]] = {}
    values: dict[str, dict[str, float]] = {}
    for number, row in body:
        cells = dict(zip(head, row, strict=True))
        if "ID" not in cells:
            raise DataError(f"{path} sums up over launches: export it without a summary")
        launch = cells_of.setdefault(cells["ID"], cells)["ID"]
        name, unit, text = (cells[key] for key in LONG)
        # A line may tell of a rule instead of a metric.
        if name not in wanted:
            continue
        value = _value(f"{path}, line {number}: {name}", text, unit)
        if value is not None:
            values.setdefault(launch, {})[name] = value
    return [_launch(cells, values.get(launch, {})) for launch, cells in cells_of.items()]


def _value(what: str, text: str, unit: str) -> float | None:
    """A number in milliseconds, bytes or its own unit; None where nothing was collected."""
    if text.strip() in NOT_COLLECTED:
        return None
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        raise DataError(f"{what} is no number: {text!r}; export the file again") from None
    return number * UNITS.get(unit.removesuffix("/block"), 1.0)


def _launch(cells: dict[str, str], values: dict[str, float]) -> NcuLaunch:
    block = tuple(int(n) for n in re.findall(r"\d+", cells.get("Block Size", "")))
    return NcuLaunch(
        kernel=cells[NAME].partition("(")[0].strip(),
        block=block or None,
        capability=cells.get("CC", ""),
        ranges=tuple(_RANGE.findall(cells.get(RANGES, ""))),
        values=values,
    )
