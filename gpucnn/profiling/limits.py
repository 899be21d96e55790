"""What limits a row, in one word: compute, memory, launch or host."""

from gpucnn.profiling.profile import Ceilings, Row

LAUNCH_MS = 0.005
"""A kernel shorter than this takes about what starting one takes."""

CALL_MS = 0.010
"""The same of a method on the host: its checks and Python's own calls."""


def limit_of(row: Row, ceilings: Ceilings | None, *, on_device: bool) -> str:
    """The word for a row; "" where there is no ceiling to compare with, or nothing to compare.

    "host": more time passed without a kernel than with one; or, where the host computes, calls so
    short that they are Python's. "launch": kernels so short that they are their launches.
    Otherwise the one of the two rates that would take longer at the ceilings: how near the row
    comes to it is in its percent.
    """
    if ceilings is None:
        return ""
    if row.gap_ms > row.ms:
        return "host"
    each = row.ms / row.calls if row.calls else 0.0
    if each < (LAUNCH_MS if on_device else CALL_MS):
        return "launch" if on_device else "host"
    if row.compute_percent is None or row.memory_percent is None:
        return ""
    return "compute" if row.compute_percent >= row.memory_percent else "memory"


def percent_of_limit(row: Row) -> float | None:
    """How near the row comes to the higher of its two ceilings."""
    if row.compute_percent is None or row.memory_percent is None:
        return None
    return max(row.compute_percent, row.memory_percent)
