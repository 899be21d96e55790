"""A walk as a picture: one page of cells, drawn on a canvas whose unit is the side of a cell."""

import io
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

from gpucnn.errors import ConfigError
from gpucnn.explain.steps import Cell, Line, Matrix, Step, Walk, matrices, number

# In cells; a cell is INCH inches.
PAGE, MARGIN, GAP, NAME = 30.0, 0.7, 0.9, 0.75
INCH, LETTERS = 0.36, 145
# A line of the sums, and one of its letters.
LEADING, LETTER, MOST_LETTERS = 0.58, 0.2, 138
FRAME, SMALL_FRAME, NOTED, FULL = 0.8, 0.72, 0.7, 0.9
MOST_FRAMES = 36
INK, GREY, EDGE, RULE, TRUE, WEIGHT = (
    *("#1d2733", "#7d8894", "#b9c2cb", "#d5dbe1"),
    *("#2c7a3f", "#b03a2e"),
)
# role -> a cell, a marked cell
FILLS = {
    "input": ("#edf4fc", "#a6ccf3"),
    "kernel": ("#fef3e0", "#f7c772"),
    "delta": ("#ebf7ec", "#9fd6a4"),
    "result": ("#f5eefb", "#cdaee9"),
    "plain": ("#ffffff", "#d5dbe1"),
    "sparse": ("#fef3e0", "#f7c772"),
}
INSERTED, CHOSEN = "#f4f5f6", "#f39c72"
Command = Callable[[Any], None]


def draw(walk: Walk) -> bytes:
    """The picture as a PNG; ConfigError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "--png needs matplotlib, which is not installed: pip install matplotlib"
        ) from None
    page = Page()
    page.write(walk.title, size=15, weight="bold", leading=1.1)
    page.legend(walk)
    for count, step in enumerate(walk.steps, start=1):
        page.step(count, step)
    # A Figure of its own, without pyplot, needs no display and leaves no global state.
    figure = Figure(figsize=(PAGE * INCH, page.y * INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE), ylim=(page.y, 0))
    axes.set_axis_off()
    for command in page.commands:
        command(axes)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


class Page:
    """What is to be drawn, from the top down; `y` is how far the page is filled."""

    def __init__(self) -> None:
        self.y = MARGIN
        self.commands: list[Command] = []

    def legend(self, walk: Walk) -> None:
        """What the colours mean."""
        parts = [part for step in walk.steps for part in matrices(step)]
        roles = {"input": "input", "kernel": "kernel", "delta": "δ", "result": "result"}
        signs = [(FILLS[role][1], text) for role, text in roles.items() if _any(parts, role)]
        if any(part.inserted for part in parts if part.role != "sparse"):
            signs.append((INSERTED, "zeros that were put in"))
        if any(part.chosen for part in parts):
            signs.append((CHOSEN, "the window's winner"))
        x = MARGIN
        for fill, text in signs:
            self.box(x, self.y, 0.45, 0.45, facecolor=fill, edgecolor=EDGE, linewidth=0.5)
            self.text(x + 0.65, self.y + 0.22, text, size=9, va="center", color=GREY)
            x += 1.5 + 0.22 * len(text)
        if any(part.notes for part in parts):
            self.text(x, self.y + 0.22, "×2", size=8, va="center", color=WEIGHT)
            self.text(x + 0.9, self.y + 0.22, "kernel's number", size=9, va="center", color=GREY)
        self.y += 0.95

    def write(self, text: str, *, leading: float = 0.62, size: float = 9.5, **style: Any) -> None:
        """A line of text."""
        self.text(MARGIN, self.y, text, size=size, va="top", **style)
        self.y += leading

    def step(self, count: int, step: Step) -> None:
        """Heading, words, matrices; then the frames, and the sums beside or below them."""
        y = self.y
        self.commands.append(
            lambda axes: axes.plot([MARGIN, PAGE - MARGIN], [y, y], color=RULE, linewidth=0.8)
        )
        self.y += 0.45
        if step.source:
            self.text(
                PAGE - MARGIN, self.y, step.source, size=8.5, color=GREY, va="top", ha="right"
            )
        self.write(f"{count}. {step.title}", size=11.5, weight="bold", leading=0.9)
        for line in wrap(step.text, LETTERS):
            self.write(line)
        for line_of_matrices in step.lines:
            self.line(line_of_matrices)
        top, right = self.y, MARGIN
        if step.frames:
            right = self.frames(step.frames, step.across)
        if step.sums:
            self.sums(step.sums, top, right)
        if step.agrees:
            self.y += 0.15
            self.write(f"✓ {step.agrees}", color=TRUE, size=9)
        self.y += 0.45

    def line(self, parts: Line) -> None:
        """Matrices beside each other with signs between; smaller where the page is too narrow."""
        width = sum(_width(part) for part in parts) + GAP * (len(parts) - 1)
        scale = min(1.0, (PAGE - 2 * MARGIN) / width)
        height = max(part.shape[0] for part in parts if isinstance(part, Matrix)) * scale
        x, top = MARGIN, self.y + NAME + 0.3
        for part in parts:
            if isinstance(part, str):
                middle = x + _width(part) * scale / 2
                size = (22 if part in "⋆·∗" else 15) * scale
                self.text(middle, top + height / 2, part, size=size, va="center", ha="center")
            else:
                down = (height - part.shape[0] * scale) / 2
                self.matrix(part, x, top + down, scale)
            x += (_width(part) + GAP) * scale
        self.y = top + height + 0.45

    def sums(self, sums: Sequence[str], top: float, right: float) -> None:
        """In columns to the right of the frames where they fit there, else below them."""
        lines = [
            part for text in sums for part in wrap(text, MOST_LETTERS, subsequent_indent=" " * 10)
        ]
        column = (max(map(len, lines)) + 3) * LETTER
        x, y, room = right + GAP, top + NAME, PAGE - MARGIN - right - GAP
        rows = max(int((self.y - y) / LEADING), 1)
        if right == MARGIN or -(-len(lines) // rows) * column > room:
            x, y = MARGIN, self.y + 0.15
            rows = -(-len(lines) // max(int((PAGE - 2 * MARGIN) / column), 1))
        rows = min(rows, len(lines))
        for index, line in enumerate(lines):
            place = (x + index // rows * column, y + index % rows * LEADING)
            self.text(*place, line, size=8.5, family="monospace", va="top")
        self.y = max(self.y, y + rows * LEADING)

    def frames(self, frames: Sequence[Matrix], across: int) -> float:
        """The frames, laid out as their result is; the first ones where there are many.

        Returns where they end to the right.
        """
        rows, columns = frames[0].shape[0], _width(frames[0])
        lines = -(-len(frames) // across)
        scale = min(
            FRAME if lines <= 3 else SMALL_FRAME,
            (PAGE - 2 * MARGIN) / (across * (columns + GAP)),
        )
        shown = frames[: max(MOST_FRAMES // across, 1) * across]
        for start in range(0, len(shown), across):
            top = self.y + NAME
            for index, frame in enumerate(shown[start : start + across]):
                self.matrix(frame, MARGIN + index * (columns + GAP) * scale, top, scale, size=8.5)
            self.y = top + rows * scale + 0.3
        if len(shown) < len(frames):
            self.write(f"… and {len(frames) - len(shown)} more places", color=GREY)
        return MARGIN + (across * (columns + GAP) - GAP) * scale

    def matrix(self, part: Matrix, x: float, y: float, scale: float, size: float = 10) -> None:
        """The name, the cells, and a frame around them."""
        self.text(x, y - 0.18, part.name, size=size, va="bottom", style="italic")
        (rows, columns), wide = part.shape, _cell_width(part) * scale
        for row in range(rows):
            for column in range(columns):
                corner = (x + column * wide, y + row * scale)
                self.cell(part, (row, column), *corner, wide, scale)
        self.box(x, y, columns * wide, rows * scale, facecolor="none", edgecolor=INK, linewidth=1)

    def cell(self, part: Matrix, cell: Cell, x: float, y: float, wide: float, scale: float) -> None:
        """One number on its colour."""
        plain, marked = FILLS[part.role]
        inserted = cell in part.inserted
        fill = INSERTED if inserted else plain
        if part.role == "sparse" and not inserted:
            fill = marked
        elif cell in part.chosen or cell in part.marked:
            fill = CHOSEN if cell in part.chosen else marked
        self.box(x, y, wide, scale, facecolor=fill, edgecolor=EDGE, linewidth=0.5)
        value = number(part.values[cell])
        # In a small frame, the grey says enough.
        if inserted and (part.role == "sparse" or scale < FULL):
            return
        noted = scale >= NOTED and cell in part.notes
        up = 0.12 * scale if noted else 0.0
        style: dict[str, Any] = {"color": GREY if inserted else INK, "size": 11 * scale}
        if cell in part.chosen:
            style["weight"] = "bold"
        middle = (x + wide / 2, y + scale / 2 - up)
        self.text(*middle, value, va="center", ha="center", **style)
        if noted:
            corner = (x + wide - 0.06 * scale, y + 0.95 * scale)
            note, size = part.notes[cell], 5.5 * scale + 1
            self.text(*corner, note, size=size, color=WEIGHT, va="bottom", ha="right")

    def text(self, x: float, y: float, text: str, *, size: float, **style: Any) -> None:
        # A dollar sign would begin mathematics.
        style = {"color": INK, **style, "parse_math": False}
        self.commands.append(lambda axes: axes.text(x, y, text, fontsize=size, **style))

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        def command(axes: Any) -> None:
            from matplotlib.patches import Rectangle

            axes.add_patch(Rectangle((x, y), width, height, **style))

        self.commands.append(command)


def _any(parts: Sequence[Matrix], role: str) -> bool:
    return any(part.role == role for part in parts)


def _width(part: Matrix | str) -> float:
    """In cells; a name may be wider than its matrix."""
    if isinstance(part, str):
        return max(0.6, 0.34 * len(part))
    return max(part.shape[1] * _cell_width(part), 0.3 * len(part.name))


def _cell_width(part: Matrix) -> float:
    longest = max(len(number(value)) for value in part.values.flat)
    return max(1.0, 0.27 * longest + 0.2)
