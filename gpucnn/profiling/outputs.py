"""What is made from a profile beside its figures: a trace, pictures, a page."""

import json
from collections.abc import Sequence
from pathlib import Path

from gpucnn.profiling.page import to_html
from gpucnn.profiling.pictures import NEEDED, can_draw, draw
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.spans import Span
from gpucnn.profiling.trace import to_trace
from gpucnn.training.files import write_atomically

ABSENT = {
    "roofline": "there are no rates, or no ceilings to compare them with",
    "time_by_layer": "nothing is known of the layers",
}
"""Why a picture may be missing."""


def write_outputs(folder: Path, profile: Profile, spans: Sequence[Span]) -> list[str]:
    """Write the page, the pictures and, of spans, the trace; a line for each that was not made."""
    notes = []
    if spans:
        trace = json.dumps(to_trace(profile, spans), allow_nan=False, separators=(",", ":"))
        write_atomically(folder / "trace.json", trace.encode())
    else:
        notes.append("no trace.json: sums over launches have no time axis")
    write_atomically(folder / "profile.html", to_html(profile).encode())
    if not can_draw():
        return [*notes, f"no roofline.png and time_by_layer.png: they need {NEEDED}"]
    pictures = draw(profile)
    for name, data in pictures.items():
        write_atomically(folder / f"{name}.png", data)
    notes += [f"no {name}.png: {reason}" for name, reason in ABSENT.items() if name not in pictures]
    return notes
