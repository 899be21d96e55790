"""What ran when: the spans of a step as leaves that compute, and the gaps between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpucnn.profiling.spans import Span

Interval = tuple[int, int]

BETWEEN = "between methods"
OUTSIDE = "outside of the layers"
DATA_WAIT = "data wait"
INSIDE = "inside of methods"
"""All the methods' own names together."""


@dataclass(frozen=True)
class Leaf:
    """What computes: a kernel, or a method that launches none."""

    span: Span
    place: int
    method: int
    """The place of the method that it is or belongs to; -1 for a kernel launched by no method."""
    interval: Interval

    @property
    def ns(self) -> int:
        return self.interval[1] - self.interval[0]


@dataclass(frozen=True)
class Segment:
    """A piece of a step in which one span is the innermost, on the host's clock."""

    place: int
    start: int
    end: int


def leaves(spans: Sequence[Span], step: range) -> list[Leaf]:
    """The leaves of a step in the order of their beginnings.

    Where the step was timed by a device, a leaf is what the device was seen to do.
    """
    on_device = spans[step[0]].device is not None
    launching = {spans[i].parent for i in step if spans[i].kind == "kernel"}
    found = []
    for i in step:
        span = spans[i]
        method = span.kind == "method" and i not in launching
        if not (method or span.kind == "kernel") or (on_device and span.device is None):
            continue
        around = span.parent if span.parent >= 0 and spans[span.parent].kind == "method" else -1
        interval = span.device or (span.start_ns, span.end_ns)
        found.append(Leaf(span, i, i if method else around, interval))
    return found


def segments(spans: Sequence[Span], step: range) -> list[Segment]:
    """A step cut wherever a span begins or ends; every moment belongs to its innermost span."""
    children: dict[int, list[int]] = {}
    for i in step[1:]:
        children.setdefault(spans[i].parent, []).append(i)

    def pieces(i: int) -> Iterator[Segment]:
        at = spans[i].start_ns
        for child in children.get(i, ()):
            yield Segment(i, at, spans[child].start_ns)
            yield from pieces(child)
            at = spans[child].end_ns
        yield Segment(i, at, spans[i].end_ns)

    return [piece for piece in pieces(step[0]) if piece.end > piece.start]


def idle(spans: Sequence[Span], step: range, busy: Sequence[Leaf]) -> list[Interval]:
    """When no leaf ran, from the step's beginning to its end."""
    whole = spans[step[0]]
    at, end = whole.device or (whole.start_ns, whole.end_ns)
    found = []
    for start, stop in sorted(leaf.interval for leaf in busy):
        if start > at:
            found.append((at, start))
        at = max(at, stop)
    if end > at:
        found.append((at, end))
    return found


def gaps(spans: Sequence[Span], step: range) -> list[tuple[tuple[str, str, str], int]]:
    """((layer, phase, where the host was), nanoseconds) of every moment without a leaf."""
    beyond = "", spans[step[-1]].phase, OUTSIDE
    return [
        (beyond if piece.place < 0 else where(spans, piece.place), piece.end - piece.start)
        for gap in idle_segments(spans, step)
        for piece in gap
    ]


def idle_segments(spans: Sequence[Span], step: range) -> Iterator[list[Segment]]:
    """Each moment without a leaf, cut wherever a span of the host begins or ends.

    The device's clock reaches a little beyond the host's step: such a piece has no place, but -1.
    """
    pieces = segments(spans, step)
    first = 0
    for start, end in idle(spans, step, leaves(spans, step)):
        found, at = [], start
        while first < len(pieces) and pieces[first].end <= start:
            first += 1
        for piece in pieces[first:]:
            if piece.start >= end:
                break
            if piece.start > at:
                found.append(Segment(-1, at, piece.start))
            at = min(end, piece.end)
            found.append(Segment(piece.place, max(start, piece.start), at))
        if at < end:
            found.append(Segment(-1, at, end))
        yield found


def where(spans: Sequence[Span], place: int) -> tuple[str, str, str]:
    """(layer, phase, name) of a place, in words."""
    span = spans[place]
    if span.kind == "data":
        return span.layer, span.phase, DATA_WAIT
    if span.kind == "kernel" and span.parent >= 0 and spans[span.parent].kind == "method":
        span = spans[span.parent]
    if span.kind in ("method", "kernel"):
        return span.layer, span.phase, span.name
    if span.kind == "layer":
        return span.layer, span.phase, BETWEEN
    return "", "", OUTSIDE


def kind(place: tuple[str, str, str]) -> str:
    """What the host was doing, whichever layer and method it was in."""
    return place[2] if place[2] in (DATA_WAIT, BETWEEN, OUTSIDE) else INSIDE
