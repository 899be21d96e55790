"""profile.html: the whole profile on one page that needs nothing else, on a screen of any size."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from statistics import median
from typing import Any

from gpucnn.profiling import access_page, markup
from gpucnn.profiling.columns import WIDE, Column, call_columns, layer_columns, method_columns
from gpucnn.profiling.labels import figure, mebibytes, milliseconds, place_label
from gpucnn.profiling.markup import Cell, Head
from gpucnn.profiling.pictures import NEEDED, can_draw, draw
from gpucnn.profiling.profile import Profile, Row
from gpucnn.profiling.tables import heading
from gpucnn.profiling.verdict import images_per_second, longest, step_ms, verdict

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Nothing is fetched, whatever stands in a name."""

PICTURES = {
    "roofline": "Roofline: FLOPs a second of each method by its FLOPs a byte, below two ceilings",
    "time_by_layer": "Time by layer: bars of forward, backward and gaps in the network's order",
}

LONGEST = ("method", "ms", "predicted ms", "best-worst", "share", "limit")
"""Columns of the first table."""

FACTS = {
    "config": "config", "command": "command", "data": "data", "batch_size": "batch",
    "warmup": "steps of warm-up", "steps": "steps that count", "device": "device",
    "device_name": "device's name", "gpu": "predicted for", "arch": "architecture",
    "choice": "choice of device", "gpucnn": "gpucnn", "commit": "commit",
}  # fmt: skip
"""What meta holds, in this order, and its names; whatever else it holds follows."""


def to_html(profile: Profile) -> str:
    """The page."""
    name = str(profile.meta.get("config", "model"))
    parts = [
        f"<header><h1>{escape(name)}</h1>\n",
        "".join(markup.paragraph(line, "about") for line in heading(profile)[:1]),
        _warning(profile),
        "</header>\n<main>\n",
        markup.facts(_cards(profile), "cards"),
        _words(profile),
        _top(profile),
        _pictures(profile),
        *_tables(profile),
        _about(profile),
        "</main>\n",
    ]
    style, script = (files("gpucnn.profiling").joinpath(f"page.{kind}").read_text("utf-8")
                     for kind in ("css", "js"))  # fmt: skip
    loud = "PREDICTED: " if profile.predicted else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{loud}profile of {escape(name)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{''.join(parts)}<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _warning(profile: Profile) -> str:
    meta = profile.meta
    if profile.predicted:
        text = f"PREDICTED for {meta.get('gpu')}. Every time and rate on this page comes from a"
        return markup.paragraph(f"{text} model; nothing was measured on such a device.", "warning")
    if meta["device"] == "emulator":
        text = "The times on this page are the emulator's own. They say nothing about a GPU."
        return markup.paragraph(text, "warning")
    return ""


def _cards(profile: Profile) -> list[tuple[str, str]]:
    step, rate = step_ms(profile), images_per_second(profile)
    word = "predicted " if profile.predicted else ""
    cards = [(f"{word}step", f"{milliseconds(step)} ms")]
    if profile.predicted:
        best, worst = median(profile.best_ms), median(profile.worst_ms)
        cards.append(("best to worst", f"{milliseconds(best)} to {milliseconds(worst)} ms"))
    if rate is not None:
        cards.append((f"{word}images a second", figure(rate)))
    if profile.gaps and not profile.predicted:
        cards += [
            ("computing", f"{milliseconds(profile.busy_ms)} ms"),
            ("gaps", f"{milliseconds(profile.gap_ms)} ms"),
            ("waiting for data", f"{milliseconds(profile.data_wait_ms)} ms"),
        ]
    if profile.kernels:
        cards.append(("kernels a step", figure(sum(row.calls for row in profile.kernels))))
    if profile.memory:
        peak = max(row.peak_bytes for row in profile.memory)
        cards.append(("memory at most", f"{mebibytes(peak)} MiB"))
    return cards


def _words(profile: Profile) -> str:
    found = verdict(profile)
    return markup.paragraph(f"{found.headline}.", "verdict") + markup.listed(found.sentences)


def _top(profile: Profile) -> str:
    kind = "kernels" if profile.kernels else "methods"
    columns = _chosen(method_columns(profile, WIDE), LONGEST)
    table = _rows("longest", columns, longest(profile))
    return markup.section(f"The five longest {kind}", table)


def _chosen(columns: Sequence[Column], heads: Sequence[str]) -> list[Column]:
    return [column for column in columns if column.head in heads]


def _pictures(profile: Profile) -> str:
    if not can_draw():
        return markup.paragraph(f"No pictures: they need {NEEDED}.", "note")
    light, dark = (draw(profile, form="svg", dark=dark) for dark in (False, True))
    shown = (markup.picture(light[name], dark[name], PICTURES[name]) for name in light)
    return markup.section("Pictures", "".join(shown))


def _tables(profile: Profile) -> list[str]:
    layers, methods = layer_columns(profile), method_columns(profile, WIDE)
    parts = [markup.section("By method", _rows("methods", methods, profile.methods))]
    if profile.layers:
        by_layer = _rows("layers", layers, profile.layers)
        parts.insert(0, markup.section("By layer and pass", by_layer))
    if profile.kernels:
        parts.append(markup.section("By kernel", _rows("kernels", methods, profile.kernels)))
    if profile.calls:
        calls = _rows("calls", call_columns(profile), profile.calls)
        parts.append(markup.section("By layer, pass and method", calls, shut=True))
    if profile.gaps and not profile.predicted:
        parts.append(_gaps(profile))
    if profile.memory:
        parts.append(_memory(profile))
    if profile.traffic:
        parts.append(access_page.traffic(profile.traffic))
    if profile.lines:
        parts.append(access_page.lines(profile.lines))
    return parts


def _rows(name: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A table of rows, without the columns that are empty in all of them."""
    shown = [column for column in columns if any(column.cell(row) for row in rows)]

    def cell(column: Column, row: Row) -> Cell:
        return Cell(column.cell(row).strip(), row.share if column.head == "share" else None)

    heads = [Head(column.head, number=not column.left) for column in shown]
    return markup.table(name, heads, [[cell(column, row) for column in shown] for row in rows])


def _gaps(profile: Profile) -> str:
    rows = [
        [
            Cell(place_label(profile, gap.layer, gap.phase)),
            Cell(gap.where),
            Cell(milliseconds(gap.ms)),
            Cell(f"{gap.share:.1%}", gap.share),
        ]
        for gap in profile.gaps
    ]
    heads = [Head("place", False), Head("the host was in", False), Head("ms"), Head("share")]
    note = "Time in which nothing was computed, and where the host was then."
    return markup.section("Gaps", markup.table("gaps", heads, rows), note=note, shut=True)


def _memory(profile: Profile) -> str:
    most = max(row.peak_bytes for row in profile.memory) or 1
    rows = [
        [
            Cell(place_label(profile, row.layer, row.phase)),
            Cell(mebibytes(row.peak_bytes), row.peak_bytes / most),
            Cell(mebibytes(row.kept_bytes)),
        ]
        for row in profile.memory
    ]
    heads = [Head("place", False), Head("peak MiB"), Head("left MiB")]
    note = "What was held at most while a layer's pass ran, and what it left behind."
    return markup.section("Memory", markup.table("memory", heads, rows), note=note, shut=True)


def _about(profile: Profile) -> str:
    meta = dict(profile.meta)
    pairs = [(name, _text(meta.pop(key))) for key, name in FACTS.items() if meta.get(key)]
    pairs += [(key.replace("_", " "), _text(v)) for key, v in meta.items()
              if key not in FACTS and v]  # fmt: skip
    if profile.ceilings is not None:
        pairs.append(("ceilings' source", profile.ceilings.source))
    return markup.section("About this profile", markup.facts(pairs, "facts"))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text}" for key, text in value.items())
    return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
