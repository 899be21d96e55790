"""What the emulator's checked mode counts of each launch, and of each source line."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gpucnn.profiling.access import LineAccess, Traffic
from gpucnn.profiling.predict import SECTOR, WAVEFRONT, Counts
from gpucnn.profiling.spans import Frame
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.emulator_report import KernelMetric, LineMetric
from gpucnn.runtime.source import kernels_folder

_PLACE = re.compile(r"kernels/([\w.]+):(\d+)")

Line = tuple[str, str, str, str, int]
"""kernel, line, space, access, size: what the emulator counts by."""


@dataclass(frozen=True)
class Counted:
    """One launch."""

    counts: Counts
    """Without FLOPs: those are the method's."""
    asked: int
    """Bytes that its threads asked for, in either memory."""


class CountingObserver:
    """Reads a checked launcher's counters after every kernel of the observed steps.

    `launches` are in the order of the kernels; `traffic` and `lines` sum over all of them.
    """

    def __init__(self, launcher: EmulatorLauncher):
        self.launches: list[Counted] = []
        self.steps = 0
        self._launcher = launcher
        # The emulator's counters only grow.
        self._kernels_before = self._kernels = _kernels(launcher)
        self._lines_before = self._lines = _lines(launcher)

    def enter(self, frame: Frame) -> None:
        self.steps += frame.kind == "step"

    def exit(self, frame: Frame) -> None:
        if frame.kind != "kernel" or frame.launch is None:
            return
        kernels, lines = _kernels(self._launcher), _lines(self._launcher)
        new = kernels[frame.name] - self._kernels.get(frame.name, Counter())
        found = [count - self._lines.get(line, Counter()) for line, count in lines.items()]
        shared = [c["units"] for line, c in zip(lines, found, strict=True) if line[2] == "shared"]
        grid = frame.launch.grid
        counts = Counts(
            blocks=grid[0] * grid[1] * grid[2],
            flops=0.0,
            moved=new["loaded"] + new["stored"],
            least=new["minimum_loaded"] + new["minimum_stored"],
            wavefronts=sum(shared),
        )
        self.launches.append(Counted(counts, sum(count["bytes"] for count in found)))
        self._kernels, self._lines = kernels, lines

    def traffic(self) -> list[Traffic]:
        """The kernels, the most bytes moved first."""
        rows = []
        for name, count in self._kernels.items():
            new = count - self._kernels_before.get(name, Counter())
            if new["launches"]:
                rows.append(
                    Traffic(
                        name,
                        new["launches"] / self.steps,
                        *(self._each(new[field]) for field in _BYTES),
                    )
                )
        return sorted(rows, key=lambda row: -(row.loaded + row.stored))

    def lines(self) -> list[LineAccess]:
        """The source lines, by kernel and place."""
        rows = []
        for line, count in self._lines.items():
            new = count - self._lines_before.get(line, Counter())
            if new["requests"]:
                rows.append(self._row(line, new))
        return rows

    def _row(self, line: Line, new: "Counter[str]") -> LineAccess:
        kernel, place, space, access, size = line
        unit = SECTOR if space == "global" else WAVEFRONT
        requests = new["requests"]
        return LineAccess(
            kernel,
            place,
            *source_texts(place, self._launcher.folder),
            space=space,
            access=access,
            size=size,
            requests=self._each(requests),
            units=self._each(new["units"]),
            bytes=self._each(new["bytes"]),
            per_request=new["units"] / requests,
            least_per_request=max(1.0, new["bytes"] / unit / requests),
        )

    def _each(self, count: int) -> int:
        """Of one step."""
        return round(count / self.steps)


_BYTES = ("loaded", "stored", "minimum_loaded", "minimum_stored")


def _kernels(launcher: EmulatorLauncher) -> "dict[str, Counter[str]]":
    def fields(m: KernelMetric) -> "Counter[str]":
        return Counter({name: getattr(m, name) for name in ("launches", *_BYTES)})

    return {m.kernel: fields(m) for m in launcher.kernel_metrics}


def _lines(launcher: EmulatorLauncher) -> "dict[Line, Counter[str]]":
    def fields(m: LineMetric) -> "Counter[str]":
        return Counter({"requests": m.requests, "units": m.units, "bytes": m.bytes})

    return {(m.kernel, m.line, m.space, m.access, m.size): fields(m) for m in launcher.metrics}


def source_texts(place: str, folder: Path | None = None) -> tuple[str, str]:
    """The text of a place such as "kernels/gemm.cuh:40 (from kernels/x.cu:9)", and its caller's."""
    texts = [_text(file, int(number), folder) for file, number in _PLACE.findall(place)]
    text, caller = [*texts, "", ""][:2]
    return text, caller


def _text(file: str, number: int, folder: Path | None) -> str:
    try:
        lines = ((folder or kernels_folder()) / file).read_text().splitlines()
    except OSError:
        return ""
    return lines[number - 1].strip() if number <= len(lines) else ""
