"""Where the labels of a picture go, so that none lies on another, on a point or outside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

DISTANCES = (3.0, 10.0, 20.0, 32.0, 48.0, 70.0, 100.0, 140.0, 190.0)
"""From a point's edge to its label, tried one after the other."""

ANGLES = tuple(k * pi / 8 for k in (0, 8, 4, 12, 2, 14, 6, 10, 1, 15, 7, 9, 3, 13, 5, 11))
"""Right and left of the point, above and below it, and between these."""

MARGIN = 2.0
"""Between two labels."""


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: "Box") -> bool:
        apart = self.x1 <= other.x0 or other.x1 <= self.x0
        return not (apart or self.y1 <= other.y0 or other.y1 <= self.y0)

    def contains(self, other: "Box") -> bool:
        wide = self.x0 <= other.x0 and other.x1 <= self.x1
        return wide and self.y0 <= other.y0 and other.y1 <= self.y1

    def grown(self, by: float) -> "Box":
        return Box(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)


@dataclass(frozen=True)
class Point:
    """A disc, and the width and height of its label."""

    x: float
    y: float
    radius: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        # The square with the disc's area: its corners are hardly covered.
        r = 0.89 * self.radius
        return Box(self.x - r, self.y - r, self.x + r, self.y + r)


def place(points: Sequence[Point], bounds: Box, obstacles: Sequence[Box] = ()) -> list[Box | None]:
    """A place for each point's label, the first points' choice first; None where there is none."""
    taken = [*obstacles, *(point.box for point in points)]
    found: list[Box | None] = []
    for point in points:
        free = (
            box
            for box in _candidates(point)
            if bounds.contains(box) and not any(box.grown(MARGIN).overlaps(b) for b in taken)
        )
        box = next(free, None)
        found.append(box)
        taken += [] if box is None else [box]
    return found


def _candidates(point: Point) -> Iterator[Box]:
    for distance in DISTANCES:
        for angle in ANGLES:
            r = point.radius + distance
            x, y = point.x + r * cos(angle), point.y + r * sin(angle)
            # The label's nearest side or corner is at (x, y).
            left = x - point.width * (1 - round(cos(angle), 3)) / 2
            low = y - point.height * (1 - round(sin(angle), 3)) / 2
            yield Box(left, low, left + point.width, low + point.height)
