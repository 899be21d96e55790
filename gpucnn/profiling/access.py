"""How kernels use memory: by kernel, and by source line with the line's text."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Bytes of global memory that a kernel moves in a step, in whole sectors of 32 bytes."""

    kernel: str
    launches: float
    loaded: int
    stored: int
    least_loaded: int | None = None
    """The bytes that it touches at all, each once; None where nothing counted them."""
    least_stored: int | None = None

    @property
    def excess(self) -> float | None:
        """How many times the least it moves."""
        if self.least_loaded is None or self.least_stored is None:
            return None
        least = self.least_loaded + self.least_stored
        return (self.loaded + self.stored) / least if least else None


@dataclass(frozen=True)
class LineAccess:
    """One kind of access of one source line, in a step."""

    kernel: str
    place: str
    """As kernels/gemm.cuh:40; of an inlined helper, with the line that calls it."""
    text: str
    """The line itself; "" where it is not known."""
    caller: str
    """Of an inlined helper, the line that calls it; else ""."""
    space: str
    """global or shared."""
    access: str
    """load, store or atomic."""
    size: int
    """Bytes of one thread's access."""
    requests: int
    """Accesses of a warp."""
    units: int
    """Sectors of 32 bytes of global memory, wavefronts of 128 bytes of shared memory."""
    bytes: int
    """Bytes that the threads asked for."""
    per_request: float
    """Units a request."""
    least_per_request: float
    """The fewest that so many bytes need; never below one."""

    @property
    def unit(self) -> int:
        """Bytes of a unit."""
        return 32 if self.space == "global" else 128

    @property
    def wasted(self) -> float:
        """Bytes moved on the chip beyond the fewest."""
        return self.unit * self.requests * max(0.0, self.per_request - self.least_per_request)

    @property
    def fault(self) -> str:
        """What is wrong with the line, in words; "" where its requests are about as they can be."""
        least = self.least_per_request
        if self.per_request < max(FAULT * least, least + 1):
            return ""
        return "uncoalesced" if self.space == "global" else "bank conflicts"


FAULT = 1.5
"""Times the fewest units, and one unit more; an unaligned but contiguous request stays below."""


def faulty(lines: Sequence[LineAccess]) -> list[LineAccess]:
    """The lines with a fault, the most bytes wasted first."""
    return sorted((line for line in lines if line.fault), key=lambda line: -line.wasted)
