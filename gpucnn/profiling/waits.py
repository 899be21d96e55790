"""Finding where the host waits for the device: a synchronisation, wanted or hidden.

A host that only launches runs ahead of its device. Where it does not come back before the device
has finished all that was launched, and then comes back at once, it has waited. What computes on
the host for a while without waiting ends at some other moment: it may coincide in one step, not
in most of them.
"""

from collections.abc import Sequence
from statistics import median

from gpucnn.profiling.intervals import leaves, segments, where
from gpucnn.profiling.profile import Wait
from gpucnn.profiling.spans import Span, by_step

SHORTEST_NS = 20_000
"""Work still to be done that makes a wait worth telling: an ordinary launch takes less."""

RETURN_NS = 50_000
"""How soon after the device's last kernel a waiting host is back at the latest ..."""

UNSEEN = 0.25
"""... or after this share of the wait: a reduction by CuPy itself, say, comes last unobserved."""

EARLY_NS = 2_000
"""How much earlier it may seem to be, by the clocks' own errors."""


def find_waits(spans: Sequence[Span]) -> list[Wait]:
    """The places where the host waited in most steps; the longest first.

    Only a step that a device has timed can show any.
    """
    steps = by_step(spans)
    found: dict[tuple[str, str, str], dict[int, int]] = {}
    for number, step in enumerate(steps):
        if spans[step[0]].device is None:
            continue
        for place, waited in _waits(spans, step):
            by_number = found.setdefault(where(spans, place), {})
            by_number[number] = by_number.get(number, 0) + waited
    waits = [
        Wait(layer, phase, name, median(times.values()) / 1e6, len(times))
        for (layer, phase, name), times in found.items()
        if 2 * len(times) > len(steps)
    ]
    return sorted(waits, key=lambda wait: -wait.ms)


def _waits(spans: Sequence[Span], step: range) -> list[tuple[int, int]]:
    """(place, nanoseconds) of each segment in which the host waited."""
    work = leaves(spans, step)
    found, until, given = [], 0, 0
    for piece in segments(spans, step):
        # What the host has begun to launch by now, a leaf of this very segment included.
        while given < len(work) and work[given].span.start_ns <= piece.start:
            until = max(until, work[given].interval[1])
            given += 1
        waited = min(until, piece.end) - piece.start
        late, latest = piece.end - until, max(RETURN_NS, UNSEEN * waited)
        inside = spans[piece.place].parent >= 0
        if inside and waited >= SHORTEST_NS and -EARLY_NS <= late <= latest:
            found.append((piece.place, waited))
    return found
