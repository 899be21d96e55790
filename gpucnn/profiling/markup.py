"""Pieces of a page in HTML; every text is escaped here and nowhere else."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """A table's cell: its text, how much of it a bar fills, from 0 to 1, and code below it."""

    text: str
    bar: float | None = None
    code: str = ""


@dataclass(frozen=True)
class Head:
    """A column's head; `number` aligns to the right and sorts by value."""

    text: str
    number: bool = True


def table(name: str, heads: Sequence[Head], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose heads sort it (page.js)."""
    top = "".join(
        f'<th scope="col"{_number(head)}><button type="button">{escape(head.text)}</button></th>'
        for head in heads
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, head) for cell, head in zip(row, heads, strict=True))}</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table id="{escape(name)}"><thead><tr>{top}</tr></thead>'
        f"\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _number(head: Head) -> str:
    return ' class="n"' if head.number else ""


def _cell(cell: Cell, head: Head) -> str:
    if cell.code:
        return f"<td>{escape(cell.text)}<code>{escape(cell.code)}</code></td>"
    if cell.bar is None:
        return f"<td{_number(head)}>{escape(cell.text)}</td>"
    filled = f"{100 * min(max(cell.bar, 0.0), 1.0):.2f}%"
    return f'<td class="n bar" style="--filled:{filled}">{escape(cell.text)}</td>'


def section(title: str, body: str, *, note: str = "", shut: bool = False) -> str:
    """A part of the page that can be folded."""
    line = f'<p class="note">{escape(note)}</p>\n' if note else ""
    return (
        f"<details{'' if shut else ' open'}><summary><h2>{escape(title)}</h2></summary>\n"
        f"{line}{body}</details>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    return f"<p{_class(kind)}>{escape(text)}</p>\n"


def listed(texts: Sequence[str]) -> str:
    """A list of sentences."""
    items = "".join(f"<li>{escape(text)}</li>\n" for text in texts)
    return f"<ul>\n{items}</ul>\n" if items else ""


def facts(pairs: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Names and what belongs to them."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>\n" for name, text in pairs
    )
    return f"<dl{_class(kind)}>\n{items}</dl>\n"


def picture(light: bytes, dark: bytes, description: str) -> str:
    """Two SVG pictures, of which a screen shows the one for its colours."""
    return (
        '<div class="scroll picture" tabindex="0"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{_uri(dark)}">'
        f'<img src="{_uri(light)}" alt="{escape(description)}"></picture></div>\n'
    )


def _uri(data: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


def _class(kind: str) -> str:
    return f' class="{escape(kind)}"' if kind else ""
