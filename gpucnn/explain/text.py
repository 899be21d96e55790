"""A walk as text: 80 columns, matrices side by side. Marks are characters that colour repeats.

[7] lies in the window or is its result, <7> won its window, · is a zero that was put in.
"""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.text import Text

from gpucnn.explain.steps import Line, Matrix, Step, Walk, matrices, number

WIDTH = 80
GAP = 3
# Frames of a step are all drawn where they take no more lines than this.
MOST_FRAME_LINES = 40
MARKS = {"chosen": ("<", ">"), "marked": ("[", "]")}
STYLES = {"marked": "bold yellow", "chosen": "bold green", "inserted": "bright_black"}
# For terminals that know no more than ASCII.
ASCII = str.maketrans(
    {
        **{"δ": "d", "⋆": "*", "∗": "conv", "·": ".", "×": "x", "→": "->", "∂": "d", "│": "|"},
        **{
            "φ": "phi",
            "σ": "sigma",
            "Σ": "sum",
            "²": "^2",
            "√": "sqrt",
            "°": " degrees",
            "ᵀ": "^T",
            "−": "-",
        },
        **{"§": "sec. ", "≤": "<=", "═": "=", "─": "-", "∞": "inf", "✓": "ok:"},
    }
)


def render(walk: Walk) -> list[Text]:
    """The lines of a walk."""
    title = wrap(walk.title, WIDTH)
    lines = [*(Text(line, "bold") for line in title), Text("═" * max(map(len, title)))]
    lines += [*(Text(line, "dim") for line in _legend(walk)), Text()]
    for count, step in enumerate(walk.steps, start=1):
        lines += [*_step(count, step), Text()]
    return lines[:-1]


def plain(walk: Walk) -> str:
    """The same without colour, as a file or a pipe gets it."""
    return "".join(f"{line.plain.rstrip()}\n" for line in render(walk))


def _step(count: int, step: Step) -> list[Text]:
    source = f"   [{step.source}]" if step.source else ""
    title = f"{count}. {step.title}"
    lines = [Text(title, "bold cyan").append(source, "dim")]
    if len(title + source) > WIDTH:
        lines = [Text(title, "bold cyan"), Text(source, "dim")]
    lines += [Text(line) for line in wrap(step.text, WIDTH)]
    for line in step.lines:
        lines += [Text(), *_beside(line)]
    if step.frames:
        lines += _frames(step.frames, step.across)
    if step.sums:
        lines.append(Text())
    for text in step.sums:
        lines += [Text(part) for part in wrap(text, WIDTH, subsequent_indent=" " * 10)]
    if step.agrees:
        lines.append(Text(f"✓ {step.agrees}", "green"))
    return lines


def _legend(walk: Walk) -> Iterable[str]:
    drawn = [part for step in walk.steps for part in matrices(step)]
    signs = (
        ("[7] the window or its result", any(m.marked for m in drawn)),
        ("<7> its maximum", any(m.chosen for m in drawn)),
        ("· a zero that was put in", any(m.inserted for m in drawn if m.role != "sparse")),
        ("· a zero of a sparse matrix", any(m.inserted for m in drawn if m.role == "sparse")),
    )
    shown = [words for words, there in signs if there]
    return wrap(", ".join(shown), WIDTH)


def _frames(frames: Sequence[Matrix], across: int) -> list[Text]:
    """Each frame in turn; where all would take too long, those of the first line."""
    rows = [
        row
        for first in range(0, len(frames), across)
        for row in _broken(frames[first : first + across])
    ]
    height = len(rows) * (frames[0].shape[0] + 2)
    kept = rows if height <= MOST_FRAME_LINES else rows[:1]
    lines = [line for row in kept for line in [Text(), *_row(row)]]
    hidden = len(frames) - sum(len(row) for row in kept)
    if hidden:
        lines += [Text(), Text(f"and {hidden} more places; every sum:")]
    return lines


def _beside(line: Line) -> list[Text]:
    """A line of matrices and signs, in several rows where it is too wide."""
    return [text for row in _broken(line) for text in _row(row)]


def _broken(parts: Sequence[Matrix | str]) -> list[list[Matrix | str]]:
    rows: list[list[Matrix | str]] = [[]]
    used = 0
    for index, part in enumerate(parts):
        # A sign stays with the matrix that follows it.
        follower = parts[index + 1] if isinstance(part, str) and index + 1 < len(parts) else None
        needed = _width(part) + (GAP + _width(follower) if follower is not None else 0)
        if rows[-1] and used + needed > WIDTH and not _follows_sign(rows[-1]):
            rows.append([])
            used = 0
        rows[-1].append(part)
        used += _width(part) + GAP
    return rows


def _follows_sign(row: list[Matrix | str]) -> bool:
    return isinstance(row[-1], str) and len(row) == 1


def _row(parts: Sequence[Matrix | str]) -> list[Text]:
    height = max(part.shape[0] for part in parts if isinstance(part, Matrix))
    lines = [Text() for _ in range(height + 1)]
    for index, part in enumerate(parts):
        block = _block(part, height)
        for line, piece in zip(lines, block, strict=True):
            line.append(" " * (GAP if index else 0)).append_text(piece)
    for line in lines:
        line.rstrip()
    return lines


def _block(part: Matrix | str, height: int) -> list[Text]:
    """A name and `height` lines, all of one width."""
    width = _width(part)
    if isinstance(part, str):
        signs = ["", *([""] * ((height - 1) // 2)), part]
        return [Text(sign.ljust(width)) for sign in [*signs, *[""] * (height + 1 - len(signs))]]
    lines = [Text(part.name.ljust(width))]
    for i in range(height):
        inside = i < part.shape[0]
        lines.append(_cells(part, i, width) if inside else Text(" " * width))
    return lines


def _cells(part: Matrix, row: int, width: int) -> Text:
    digits, edges = _digits(part), bool(part.marked or part.chosen)
    line = Text("│")
    for column in range(part.shape[1]):
        cell = (row, column)
        value = "·" if cell in part.inserted else number(part.values[cell])
        kind = next((k for k in ("chosen", "marked") if cell in getattr(part, k)), "")
        before, after = MARKS.get(kind, (" ", " ")) if edges else (" ", "")
        # The mark stands close to its number.
        text = f"{before}{value}{after}".rjust(digits + 1 + edges)
        style = STYLES.get(kind) or (STYLES["inserted"] if value == "·" else "")
        line.append(text, style)
    line.append("│" if edges else " │")
    return line.append(" " * (width - len(line)))


def _digits(part: Matrix) -> int:
    return max(len(number(value)) for value in part.values.flat)


def _width(part: Matrix | str) -> int:
    if isinstance(part, str):
        return len(part)
    edges = bool(part.marked or part.chosen)
    inside = part.shape[1] * (_digits(part) + 1 + edges)
    return max(len(part.name), inside + (2 if edges else 3))
