"""A section in a process of its own.

A kernel that reads outside of its arrays takes its process's GPU context with it, and one that
never ends takes the process. So each section runs by itself, goes on in a new process behind the
piece that broke it, and is ended where nothing comes for too long; what it found is kept.
"""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from acceptance.sections import Deadline, Section
from acceptance.suite import LINES, environment

LOST = 3
"""Exit status of a process that the device answers no more."""
SILENT_SECONDS = 30.0
"""A process that writes nothing for so long hangs."""
POLL_SECONDS = 0.1


def isolated(name: str, command: Sequence[str], deadline: Deadline) -> Section:
    """The section that `command --section NAME …` journals, over as many processes as it needs."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        journal.touch()
        first, processes = 0, 0
        while True:
            processes += 1
            arguments = ["--section", name, "--journal", str(journal), "--first", str(first)]
            lost, fault = _process([*command, *arguments], journal, deadline)
            section = Section.read(name, journal)
            reached = first if section.began is None else section.began[0] + 1
            if fault is not None:
                at = "its start" if section.began is None else section.began[1]
                section.fail(f"{at}: {fault}")
            elif not lost:
                break
            if reached == first or not deadline.left:
                break
            first = reached
        section.note(processes=processes)
    section.journal = None
    return section


def _process(command: Sequence[str], journal: Path, deadline: Deadline) -> tuple[bool, str | None]:
    """Run it: whether it lost the device, and what else became of it that should not, in words."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [*command, "--seconds", f"{deadline.left:.1f}"],
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            size, changed = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                if journal.stat().st_size != size:
                    size, changed = journal.stat().st_size, time.monotonic()
                if time.monotonic() - changed > SILENT_SECONDS:
                    return False, f"nothing came for {SILENT_SECONDS:g} s: ended"
                if not deadline.left:
                    return False, "ended, its time was up"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode in (0, LOST):
            return process.returncode == LOST, None
        output.seek(0)
        lines = [line.rstrip() for line in output if line.strip()]
        return False, "\n".join([f"exit status {process.returncode}", *lines[-LINES:]])
