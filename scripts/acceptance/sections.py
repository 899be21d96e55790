"""What a section of the acceptance run reports, piece by piece, and the time it may take."""

import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Piece = TypeVar("Piece")
TRACEBACKS = 5
"""Most tracebacks of a section that are kept."""


class DeviceLostError(Exception):
    """The device answers no more in this process; another process can go on behind the piece."""


class Deadline:
    """A moment; what would begin behind it is left out, which is a failure and says so."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


@dataclass
class Section:
    """Figures row by row; each failure in words.

    With a `journal`, all of it is written there as it comes, a line each: what a process has found
    outlives the process (`read`).
    """

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    skipped: str | None = None
    """Why nothing was done, where that is no failure."""
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    journal: Path | None = None
    first: int = 0
    """The piece to begin with: those before it are another process's."""
    began: tuple[int, str] | None = None
    """The last piece that was begun: its number and name."""

    @classmethod
    def read(cls, name: str, journal: Path) -> "Section":
        """What a journal holds; a last line that was cut off counts for nothing."""
        section = cls(name)
        for line in journal.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            for key, value in entry.items():
                section._take(key, value)
        section.journal = journal
        return section

    def add(self, row: dict[str, Any], *, failed: bool = False) -> None:
        self._write(rows=row)
        if failed:
            self.fail(" ".join(str(value) for value in row.values()))

    def fail(self, what: str, error: BaseException | None = None) -> None:
        if error is None:
            self._write(failures=what)
            return
        self._write(failures=f"{what}: {type(error).__name__}: {error}")
        if len(self.tracebacks) < TRACEBACKS:
            self._write(tracebacks="".join(traceback.format_exception(error)))

    def skip(self, reason: str) -> None:
        self._write(skipped=reason)

    def note(self, **figures: Any) -> None:
        self._write(summary=figures)

    def each(
        self,
        pieces: Iterable[Piece],
        work: Callable[[Piece], None],
        deadline: Deadline,
        check: Callable[[], object],
    ) -> None:
        """`work` on each piece in time; one that raises fails alone, if the device survives it.

        DeviceLostError where `check` raises then: every piece behind it would fail as well.
        """
        for index, piece in enumerate(pieces):
            if index < self.first:
                continue
            if not deadline.left:
                self.fail(f"no time left for {piece} and what is behind it")
                return
            self._write(began=[index, str(piece)])
            try:
                work(piece)
            except Exception as error:
                self.fail(str(piece), error)
                try:
                    check()
                except Exception as lost:
                    raise DeviceLostError(str(piece)) from lost

    @property
    def status(self) -> str:
        if self.failures:
            return "failed"
        return "passed" if self.skipped is None else "skipped"

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "failures": self.failures,
            "tracebacks": self.tracebacks,
            "skipped": self.skipped,
            "summary": self.summary,
            "rows": self.rows,
        }

    def _write(self, **entry: Any) -> None:
        for key, value in entry.items():
            self._take(key, value)
        if self.journal is not None:
            with self.journal.open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def _take(self, key: str, value: Any) -> None:
        if key == "summary":
            self.summary.update(value)
        elif key == "skipped":
            self.skipped = value
        elif key == "began":
            self.began = (value[0], value[1])
        else:
            getattr(self, key).append(value)
