"""roofline.png and time_by_layer.png; matplotlib, which draws them, is optional."""

import importlib.util
import io
import warnings
from typing import Any

from gpucnn.profiling.profile import Profile
from gpucnn.profiling.theme import DARK, LIGHT, Theme

NEEDED = 'matplotlib, pip install "gpucnn[plot]"'

DPI = 150


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(profile: Profile, *, form: str = "png", dark: bool = False) -> dict[str, bytes]:
    """name -> the picture as "png" or "svg", without those that have nothing to show."""
    import matplotlib

    from gpucnn.profiling import layer_times, roofline

    theme = DARK if dark else LIGHT
    style: dict[Any, Any] = {
        "text.parse_math": False,  # a layer may be called "$x$"
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "svg.hashsalt": "gpucnn",
        "svg.fonttype": "none",
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.background,
        "figure.facecolor": theme.background,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "hatch.color": theme.background,
        "hatch.linewidth": 1.2,
    }
    pictures = {}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        for name, figure in (
            ("roofline", roofline.draw(profile, theme)),
            ("time_by_layer", layer_times.draw(profile, theme)),
        ):
            if figure is not None:
                pictures[name] = _file(figure, form)
    return pictures


def _file(figure: Any, form: str) -> bytes:
    data = io.BytesIO()
    # Without the date, the same profile gives the same file.
    nothing = {"Date": None} if form == "svg" else {"Software": None}
    figure.savefig(data, format=form, dpi=DPI, metadata=nothing)
    return data.getvalue()


def title(figure: Any, profile: Profile, theme: Theme, what: str, *, inches: float = 0.3) -> None:
    """What the picture shows, of what; loudly, if it was predicted."""
    meta = profile.meta
    name = shortened(str(meta.get("config", "model")), 60)
    batch = f", batch {meta['batch_size']}" if "batch_size" in meta else ""
    high = figure.get_size_inches()[1]
    where = f"{name} on {meta['device']}{batch}"
    about = f"{where} · {shortened(str(meta['device_name']), 60)}"
    colour = theme.faint
    if profile.predicted:
        about = f"PREDICTED for {meta.get('gpu')}, not measured · {where}"
        colour = theme.warning
    elif meta["device"] == "emulator":
        about = f"{where} · the emulator's own times say nothing about a GPU"
        colour = theme.warning
    wide = figure.get_size_inches()[0]
    figure.text(0.15 / wide, 1 - 0.2 / high, what, fontsize=13, fontweight="bold", va="top")
    figure.text(0.15 / wide, 1 - (0.2 + inches) / high, about, color=colour, va="top")


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than `most`."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
