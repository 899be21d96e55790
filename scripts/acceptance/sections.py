"""What a section of the acceptance run reports, and the time it may take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Section:
    """Figures row by row; each failure in words."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    skipped: str | None = None
    """Why nothing was done, where that is no failure."""
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, row: dict[str, Any], *, failed: bool) -> None:
        self.rows.append(row)
        if failed:
            self.failures.append(" ".join(str(value) for value in row.values()))

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Let the section go on where one of its pieces raises; that is a failure."""
        try:
            yield
        except Exception as error:
            self.failures.append(f"{what}: {type(error).__name__}: {error}")

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
            "skipped": self.skipped,
            "summary": self.summary,
            "rows": self.rows,
        }


class Deadline:
    """A moment; work that would begin behind it is left out, which is a failure and says so."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def left_out(self, section: Section, what: str) -> bool:
        if self.left > 0:
            return False
        section.failures.append(f"no time left for {what}")
        return True
