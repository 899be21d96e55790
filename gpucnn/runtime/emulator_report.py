"""What checked mode reports: findings, and how a kernel uses memory."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault at one place of a kernel, and how often it came up."""

    check: str
    """memcheck, initcheck, racecheck or synccheck."""
    kernel: str
    line: str
    """Where in the source, as kernels/x.cu:12."""
    thread: tuple[int, int, int]
    block: tuple[int, int, int]
    address: int
    size: int
    text: str
    count: int

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        place = f"{self.line}, thread {self.thread} of block {self.block}"
        return f"{self.check}: {place}: {self.text}{times}"


@dataclass(frozen=True)
class LineMetric:
    """How the accesses of one source line use memory, over all launches so far."""

    kernel: str
    line: str
    space: str
    """global or shared."""
    access: str
    """load, store or atomic."""
    size: int
    """Bytes of one lane's access."""
    requests: int
    """Accesses of a warp."""
    units: int
    """32-byte sectors of global memory, wavefronts of shared memory."""
    bytes: int
    """Bytes that the lanes asked for."""

    @property
    def per_request(self) -> float:
        return self.units / self.requests

    @property
    def least_per_request(self) -> float:
        """What neighbouring lanes with neighbouring numbers would need."""
        unit = 32 if self.space == "global" else 128
        return self.bytes / unit / self.requests


@dataclass(frozen=True)
class KernelMetric:
    """Global memory that a kernel moves, beside the bytes it touches: what it must move."""

    kernel: str
    launches: int
    loaded: int
    stored: int
    minimum_loaded: int
    minimum_stored: int


def table(kernels: Sequence[KernelMetric], lines: Sequence[LineMetric]) -> str:
    """The metrics as text: a row a kernel, then a row for each source line and kind of access.

    A kernel's row: bytes of global memory moved, in whole sectors, beside the bytes touched.
    A line's row: sectors (global) or wavefronts (shared) a request, beside the fewest possible.
    """
    text = [
        f"{'kernel':32} {'launches':>8} {'loaded':>10} {'least':>10} {'stored':>10} {'least':>10}"
    ]
    for k in kernels:
        text.append(
            f"{k.kernel:32} {k.launches:8} {k.loaded:10} {k.minimum_loaded:10}"
            f" {k.stored:10} {k.minimum_stored:10}"
        )
    text += ["", f"{'line':48} {'access':>20} {'requests':>10} {'a request':>10} {'least':>7}"]
    for m in lines:
        text.append(
            f"{m.line:48} {f'{m.space} {m.access} {m.size} B':>20} {m.requests:10}"
            f" {m.per_request:10.2f} {m.least_per_request:7.2f}"
        )
    return "\n".join(text)
